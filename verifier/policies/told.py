"""The labels of pods that some of their lines have, and others lack. Pure."""

from __future__ import annotations

import msgspec

from collector.records import Identity

_Name = tuple[str, str, str]


class ToldLabels:
    """What lines tell of pods' labels, whenever they come.

    Rule: a pod whose line has no labels has those that its other lines have; of a name that was
    used again, what all of these have in common. Shippers often add none to a pod's first lines.
    """

    def __init__(self) -> None:
        self._told: dict[_Name, set[tuple[str, str]]] = {}

    def note(self, pod: Identity) -> None:
        """Takes in who wrote a line."""
        if pod.labels:
            self._told.setdefault(_name(pod), set(pod.labels)).intersection_update(pod.labels)

    def completed(self, pod: Identity) -> Identity:
        """The pod with the labels that were told of it, if it has none of its own."""
        told = None if pod.labels or not pod.pod else self._told.get(_name(pod))
        return msgspec.structs.replace(pod, labels=tuple(sorted(told))) if told else pod

    def clear(self) -> None:
        """Forgets all."""
        self._told.clear()


def _name(pod: Identity) -> _Name:
    return pod.cluster, pod.namespace, pod.pod
