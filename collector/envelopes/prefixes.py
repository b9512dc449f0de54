"""What stands before a line in text: the container runtime's, kubectl's, Logstash's, syslog's."""

from __future__ import annotations

import re
from typing import Final

_TIME: Final = r"(\d{4}-\d\d-\d\dT\S{8,32})"

# The Kubernetes runtime interface: time, stream, tags (P or F first), the line.
cri_line: Final = re.compile(_TIME + r" (stdout|stderr) ([FP])(?::\S*)?(?: |$)").match
# `kubectl logs --timestamps`, and shippers set to `%{time} %{message}`.
stamped_line: Final = re.compile(_TIME + r" (?=[\[{])").match
# Logstash's codec `plain`: time, host (an object in ECS, `%{host}` when there is none), the line.
_logstash: Final = re.compile(
    _TIME + r' (?:\{[^{}]{0,512}\}|%\{host\}|[\w.:-]{1,253}) (?=\[\d{4}-|\{"|\d{4}-\d\d-\d\dT)'
).match
# rsyslog's file format: time, host, tag (mostly with a colon), the line.
_syslog: Final = re.compile(
    _TIME + r" [\w.:-]{1,253} [^\s\[{:]{1,128}(?:\[\d{1,10}\])?:? ?(?=\[|\{\"|\d{4}-\d\d-\d\dT)"
).match
kubectl_prefix: Final = re.compile(r"\[pod/([^/\]\s]{1,253})/([^/\]\s]{1,253})\] ").match


def shipper_prefix(text: str) -> re.Match[str] | None:
    """A prefix with the shipper's time as its first group, before a line or its CRI form."""
    return _logstash(text) or stamped_line(text) or _syslog(text)
