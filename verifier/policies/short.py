"""Our own short form of a policy, for meshes without Istio's YAML and for hand-written ones.

```yaml
policies:
  - name: weather/forecast-route     # NAMESPACE/NAME; optional, from the host when left out
    host: forecast.weather           # the service: NAME, NAME.NAMESPACE, or any host name
    primary: v2                      # a subset, or {subset, host, weight}, or a list of these;
                                     # left out: every pod of the host that is no mirror
    mirror: v1                       # a subset, or {subset, host, percent}
    mirrors: [{subset: v1, percent: 30}]    # several; added to `mirror`
    match:                           # one or a list of which any; left out: every request
      path_prefix: /weather          # or path, or path_regex (RE2, the whole path)
      methods: [GET, HEAD]
    versions:                        # labels of the pods of each subset; left out: version=SUBSET
      v1: {version: v1}
    rules:                           # what is accepted; left out: defaults
      tolerance: 0.001
      horizon: 5s
      grace: 30s
      change_grace: 5s
      incidents:                     # what is told otherwise than of other policies
        missing: {threshold: 0.001, for: 5m, severity: critical, critical_share: 0.05, repeat: 1h}
        duplicates: off
    route_name: forecast             # what client lines log as the route's name
    valid_from: 2026-01-01T00:00:00Z # left out: since ever
```

Policies of one host and file are asked in order: the first that matches takes the request. A
two-part host such as `forecast.weather` is a service; end a DNS name of two parts with a dot.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import msgspec

from collector.observation import Destination
from verifier.policies.conditions import checked_match, evaluable
from verifier.policies.istio import Context, subsets_of
from verifier.policies.model import ALWAYS, Condition, Mirror, Policy, StringMatch, Subset, Weighted
from verifier.policies.names import read_host, read_labels
from verifier.policies.node import Node, shown
from verifier.policies.rules import read_rules

_POLICY_FIELDS: Final = (
    "name", "host", "primary", "mirror", "mirrors", "match", "versions", "rules", "route_name",
    "valid_from",
)  # fmt: skip
_PATH_KINDS: Final = {"path": "exact", "path_prefix": "prefix", "path_regex": "regex"}
_MAX_WEIGHT: Final = 1_000_000


def read_short(document: Node, context: Context) -> list[Policy]:
    """The policies of a document in the short form, in order.

    Raises:
        UsageError: A field is unknown, missing or wrong.
    """
    document.only(("policies",))
    found: list[Policy] = []
    for entry in document.get("policies").items():
        policy = _policy(entry, context)
        before = [one for one in found if one.route_hosts == policy.route_hosts]
        found.append(
            msgspec.structs.replace(
                policy,
                # Named by its first policy, not by its file, which may be moved.
                resource=f"policies {(before[0] if before else policy).name}",
                earlier=tuple((one.name, one.match) for one in before),
                position=len(before),
            )
        )
    return found


def _policy(entry: Node, context: Context) -> Policy:
    entry.only(_POLICY_FIELDS)
    namespace, short_name = _names(entry)
    host = _host(entry.get("host"), namespace)
    live = _live(entry.get("primary"), host, namespace)
    mirrors = _mirrors(entry, host, namespace)
    named = [host, *(o.destination.host for o in live), *(o.destination.host for o in mirrors)]
    hosts = tuple(dict.fromkeys(named))
    return Policy(
        name=f"{namespace}/{short_name}",
        namespace=namespace,
        hosts=hosts,
        match=_matches(entry.get("match")),
        live=live,
        mirrors=mirrors,
        subsets=_subsets(entry.get("versions"), hosts, context),
        route_name=entry.get("route_name").text(""),
        rules=read_rules(entry.get("rules")),
        valid_from_us=_valid_from(entry.get("valid_from")),
        source=entry.where,
        route_hosts=(host,),
    )


def _names(entry: Node) -> tuple[str, str]:
    """Namespace and name: from `name`, and what it leaves out from `host`."""
    host = entry.get("host").text().lower()
    service = host.rstrip(".").split(".")
    of_service = service[2:3] == ["svc"] or (len(service) == 2 and not host.endswith("."))
    home = service[1] if of_service else "default"
    namespace, slash, name = entry.get("name").text("").rpartition("/")
    if slash and not (namespace and name):
        raise entry.get("name").error("must be NAME or NAMESPACE/NAME")
    return namespace or home, name or service[0]


def _host(node: Node, namespace: str) -> str:
    """A host; one of two parts is a service, unless it ends with a dot."""
    text = node.text()
    known = () if text.endswith(".") else (text.lower().rpartition(".")[2],)
    return read_host(node, namespace, known)


def _destination(node: Node, host: str, namespace: str) -> Destination:
    if isinstance(node.value, str):
        return Destination(host, node.text())
    own = node.get("host")
    home = _host(own, namespace) if own.present else host
    return Destination(home, node.get("subset").text(""))


def _live(node: Node, host: str, namespace: str) -> tuple[Weighted, ...]:
    if not node.present:
        return (Weighted(Destination(host), 100),)
    entries = node.items() if isinstance(node.value, list) else [node]
    found = []
    for entry in entries:
        weight = 100 if len(entries) == 1 else 0
        if not isinstance(entry.value, str):
            entry.only(("subset", "host", "weight"))
            field = entry.get("weight")
            weight = field.integer(0, _MAX_WEIGHT) if field.present else weight
        found.append(Weighted(_destination(entry, host, namespace), weight))
    live = tuple(one for one in found if one.weight)
    if not live:
        raise node.error("needs a destination with a weight above 0")
    return live


def _mirrors(entry: Node, host: str, namespace: str) -> tuple[Mirror, ...]:
    one = entry.get("mirror")
    found = []
    for node in [*([one] if one.present else []), *entry.get("mirrors").items()]:
        percent = ALWAYS
        if not isinstance(node.value, str):
            node.only(("subset", "host", "percent"))
            field = node.get("percent")
            percent = field.number(0, 100) if field.present else ALWAYS
        found.append(Mirror(_destination(node, host, namespace), percent))
    return tuple(mirror for mirror in found if mirror.percent > 0)


def _matches(node: Node) -> tuple[Condition, ...]:
    entries = node.items() if isinstance(node.value, list) else [node] if node.present else []
    found = tuple(condition for entry in entries for condition in _conditions(entry))
    return () if any(one.always_holds() for one in found) else found


def _conditions(entry: Node) -> list[Condition]:
    """One condition for each method, with the same path."""
    entry.only((*_PATH_KINDS, "methods"))
    paths = [name for name in _PATH_KINDS if entry.get(name).present]
    if len(paths) > 1:
        raise entry.error(f"has both {paths[0]} and {paths[1]}; write two matches")
    path = None
    if paths:
        field = entry.get(paths[0])
        path = checked_match(field, StringMatch(_PATH_KINDS[paths[0]], field.text()))
        if not evaluable(path):
            raise field.error("can take too long on long paths; repeat fewer parts")
    methods = [StringMatch("exact", one.text()) for one in entry.get("methods").items()]
    if not methods:
        return [Condition(path=path)]
    return [Condition(path=path, method=method) for method in methods]


def _subsets(node: Node, hosts: tuple[str, ...], context: Context) -> tuple[Subset, ...]:
    """The policy's own `versions`, for each of its hosts, then those of DestinationRules."""
    own = [
        Subset(host, name, read_labels(labels))
        for name, labels in node.fields().items()
        for host in hosts
    ]
    known = {(one.host, one.name) for one in own}
    declared = subsets_of(hosts, context.subsets)
    return (*own, *(one for one in declared if (one.host, one.name) not in known))


def _valid_from(node: Node) -> int | None:
    """A time with its zone, in µs since the epoch; None when absent."""
    if not node.present:
        return None
    value = node.value
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) else value
        if isinstance(time, datetime) and time.tzinfo is not None:
            return int(time.timestamp() * 1_000_000)
    except (ValueError, OverflowError):
        pass
    raise node.error(f"must be a time with its zone, 2026-01-01T00:00:00Z; is {shown(value)}")
