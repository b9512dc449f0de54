"""What is known of the cluster's objects: lists and events folded into what there is.

Written by the threads that follow the API server, read by the one that writes to the database. No
I/O. What a list lacks is told before it counts: an empty or short list is no proof that something
is gone (see `lacking`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from enum import Enum
from threading import Event, Lock
from typing import Final

import msgspec

from verifier.cluster.pods import PodLife
from verifier.cluster.resources import (
    DESTINATION_RULE,
    POD,
    POLICY_KINDS,
    VIRTUAL_SERVICE,
    Kind,
    Name,
    Resource,
)

Object = Resource | PodLife


class Place(msgspec.Struct, frozen=True):
    """The objects of one kind in one namespace; an empty one stands for all."""

    kind: Kind
    namespace: str

    def holds(self, kind: str, namespace: str) -> bool:
        """Whether objects of a kind in a namespace are among them."""
        return self.kind.name == kind and self.namespace in ("", namespace)

    def __str__(self) -> str:
        return f"{self.kind.plural} of {self.namespace or 'all namespaces'}"


class Standing(Enum):
    """How far a place is known."""

    WAITING = "no answer yet"
    REFUSED = "refused, or not installed"
    KNOWN = "listed"


class Known(msgspec.Struct):
    """What is known of a place.

    Attributes:
        standing: Whether it was listed.
        objects: What is there.
        expected: Names that were there when somebody looked last, as the database has it.
        broken: Why objects cannot be read at all.
        trouble: Why it cannot be followed now; empty: it can.
    """

    standing: Standing = Standing.WAITING
    objects: dict[Name, Object] = {}
    expected: set[Name] = set()
    broken: dict[Name, str] = {}
    trouble: str = ""


class Seen(msgspec.Struct, frozen=True):
    """What is known at a moment.

    Attributes:
        resources: All but the pods.
        pods: By uid.
        departed: By uid, pods that went, until `forget`.
        listed: Places that were listed.
        ready: Whether policies may be made of this: nothing that they rest on is awaited.
        troubles: What is wrong, one line each.
        broken: By `KIND NAMESPACE/NAME`, why an object cannot be read at all.
    """

    resources: list[Resource]
    pods: dict[str, PodLife]
    departed: dict[str, PodLife]
    listed: list[Place]
    ready: bool
    troubles: list[str]
    broken: dict[str, str]


class Board:
    """What is known of all places.

    Args:
        places: Those that are followed.
        expected: By place, names that were there when somebody looked last.

    Attributes:
        changed: Set when something did; whoever reads clears it first.
    """

    def __init__(
        self, places: Iterable[Place], expected: Mapping[Place, Collection[Name]] | None = None
    ) -> None:
        self._lock: Final = Lock()
        before = expected or {}
        self._known: Final = {place: Known(expected=set(before.get(place, ()))) for place in places}
        self._departed: dict[str, PodLife] = {}
        self.changed: Final = Event()

    def lacking(self, place: Place, found: Collection[Name]) -> list[Name]:
        """What was there before and is not in a list, sorted."""
        with self._lock:
            known = self._known[place]
            return sorted((known.expected | known.objects.keys()) - set(found))

    def listed(
        self, place: Place, objects: Mapping[Name, Object], broken: Mapping[Name, str]
    ) -> None:
        """A whole list, of which it is certain that what lacks is gone."""
        with self._lock:
            known = self._known[place]
            for name in known.objects.keys() - objects.keys():
                self._depart(known.objects[name])
            known.standing, known.trouble = Standing.KNOWN, ""
            known.objects, known.broken = dict(objects), dict(broken)
            known.expected = {*objects, *broken}
        self.changed.set()

    def put(self, place: Place, name: Name, found: Object | None, broken: str = "") -> None:
        """An object was added or changed.

        Args:
            place: Where.
            name: Which one.
            found: What it is now; None: nothing that concerns us, or nothing that can be read.
            broken: Why it cannot be read; what it was before stays.
        """
        with self._lock:
            known = self._known[place]
            known.broken.pop(name, None)
            if broken:
                known.broken[name] = broken
            elif found is None:
                known.objects.pop(name, None)
                known.expected.discard(name)
            else:
                known.expected.add(name)
                known.objects[name] = found
        self.changed.set()

    def remove(self, place: Place, name: Name) -> None:
        """An object was deleted."""
        with self._lock:
            known = self._known[place]
            gone = known.objects.pop(name, None)
            if gone is not None:
                self._depart(gone)
            known.broken.pop(name, None)
            known.expected.discard(name)
        self.changed.set()

    def trouble(self, place: Place, words: str, *, refused: bool = False) -> None:
        """A place cannot be followed now, which ends nothing; empty words: it can.

        Args:
            place: Which one.
            words: Why.
            refused: Whether that will stay so: others do not wait for it.
        """
        with self._lock:
            known = self._known[place]
            same = known.trouble == words
            known.trouble = words
            if refused and known.standing is Standing.WAITING:
                known.standing, same = Standing.REFUSED, False
        if not same:
            self.changed.set()

    def see(self) -> Seen:
        """What is known now."""
        with self._lock:
            places = self._known.items()
            pods: dict[str, PodLife] = {}
            resources: list[Resource] = []
            for _, known in places:
                for found in known.objects.values():
                    if isinstance(found, Resource):
                        resources.append(found)
                    else:
                        pods[found.uid] = found
            return Seen(
                resources,
                pods,
                dict(self._departed),
                [place for place, known in places if known.standing is Standing.KNOWN],
                not any(
                    known.standing is Standing.WAITING
                    for place, known in places
                    if place.kind in (VIRTUAL_SERVICE, DESTINATION_RULE)
                ),
                [known.trouble for _, known in places if known.trouble],
                {
                    f"{place.kind.name} {'/'.join(name)}": words
                    for place, known in places
                    for name, words in known.broken.items()
                },
            )

    def forget(self, departed: Iterable[str]) -> None:
        """It is written down that these pods went."""
        with self._lock:
            for uid in departed:
                self._departed.pop(uid, None)

    def counts(self) -> dict[str, int]:
        """How many objects there are of each kind."""
        with self._lock:
            found: dict[str, int] = {}
            for place, known in self._known.items():
                found[place.kind.name] = found.get(place.kind.name, 0) + len(known.objects)
            return found

    def _depart(self, gone: Object) -> None:
        if isinstance(gone, PodLife):
            self._departed[gone.uid] = gone


def places(namespaces: Collection[str], *, pods: bool = True) -> list[Place]:
    """What to follow: each kind in each namespace, or in all at once where none is named."""
    kinds = (*POLICY_KINDS, *((POD,) if pods else ()))
    return [Place(kind, one) for kind in kinds for one in sorted(set(namespaces)) or [""]]
