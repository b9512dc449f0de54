"""The settings of what is read from the cluster's API server."""

from __future__ import annotations

import re
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from collector.settings.forms import FileName, Section, Texts

_NAMESPACE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_MOST: Final = 50


def _namespaces(found: tuple[str, ...]) -> tuple[str, ...]:
    """Names of namespaces, each once. Raises ValueError."""
    for name in found:
        if not _NAMESPACE.fullmatch(name):
            raise ValueError(f"{name!r} is no name of a namespace")
    if len(found) > _MOST:
        raise ValueError(f"names more than {_MOST}; leave it out to watch all")
    return tuple(dict.fromkeys(found))


class ClusterSettings(Section):
    """Policies and pods from the cluster, watched by `verify` and `up`."""

    enabled: bool = Field(
        default=False,
        description="Whether `verify` and `up` take policies and pods from the cluster's API "
        "server; needs mirrorproof[cluster]. Only one of several replicas does.",
    )
    namespaces: Annotated[Texts, AfterValidator(_namespaces)] = Field(
        default=(),
        description="Namespaces to watch, comma separated. Unset: all, which needs a ClusterRole.",
    )
    selector: str = Field(
        default="",
        max_length=1024,
        description="Label selector of the VirtualServices and HTTPRoutes to take, as "
        "mirrorproof=watch. DestinationRules and pods are always taken. Unset: all.",
    )
    pods: bool = Field(
        default=True,
        description="Whether pods are watched, too: the labels of those whose shipper adds none, "
        "and which mirrors run.",
    )
    kubeconfig: FileName | None = Field(
        default=None,
        description="File that says how to reach the API server. Unset: the pod's service account.",
    )
    context: str = Field(default="", description="Context of kubeconfig. Unset: its current one.")
    watch_s: int = Field(
        default=240,
        ge=5,
        le=3_600,
        description="How long one watch lasts, seconds; a connection that is dead unnoticed is "
        "found after that.",
    )
    timeout_s: float = Field(
        default=30.0,
        gt=0,
        le=600,
        description="How long the API server may say nothing while it answers a list, seconds.",
    )
