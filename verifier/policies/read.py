"""Policy files → policies. The only module of this package that reads files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec

from collector.errors import UsageError
from verifier.policies import gateway_api, istio
from verifier.policies.documents import MAX_BYTES, parse_documents
from verifier.policies.model import Policy
from verifier.policies.names import SubsetTable, read_destination_rule
from verifier.policies.node import Node, one_line
from verifier.policies.short import read_short

_SUFFIXES: Final = (".yaml", ".yml", ".json")


def read_policies(paths: Sequence[Path], *, strict: bool = True) -> tuple[Policy, ...]:
    """The policies of all files together, in their order.

    Args:
        paths: Files and folders.
        strict: Whether a subset that its host's DestinationRules do not have is refused; a lint
            tells of it otherwise.

    A DestinationRule in one file serves the VirtualServices of all. A folder stands for its
    `.yaml`, `.yml` and `.json` files, by name. Kinds without routes are skipped.

    Raises:
        UsageError: A file cannot be read, a field is wrong, or there is no policy at all. The
            message is one line with file, document and field.
    """
    return policies_in(read_files(paths), paths, strict=strict)


def read_files(paths: Sequence[Path]) -> list[tuple[str, bytes]]:
    """Names and contents of all files; a content may be one byte longer than it may be.

    Raises:
        UsageError: A file cannot be read, or a folder holds none.
    """
    return [(str(file), _read(file)) for path in paths for file in _files(path)]


def policies_in(
    files: Sequence[tuple[str, bytes]], paths: Sequence[Path], *, strict: bool = True
) -> tuple[Policy, ...]:
    """The policies of files that are read, see `read_policies`.

    Args:
        files: Names and contents.
        paths: What was asked for, for messages.
        strict: As for `read_policies`.

    Raises:
        UsageError: A field is wrong, or there is no policy at all.
    """
    documents = [document for name, content in files for document in parse_documents(content, name)]
    names = one_line(", ".join(str(path) for path in paths))
    return policies_of(documents, names, strict=strict)


def policies_of(
    documents: Sequence[Node], source: str, *, strict: bool = True
) -> tuple[Policy, ...]:
    """The policies of parsed documents; the pure part of `read_policies`.

    Args:
        documents: Of all files.
        source: What to call them all in a message.
        strict: As for `read_policies`.

    Raises:
        UsageError: A field is wrong, or there is no policy at all.
    """
    kinds = [(document, _kind(document)) for document in documents]
    context = _context(kinds)
    context.strict = strict
    found: dict[str, Policy] = {}
    for document, kind in kinds:
        for policy in _policies(document, kind, context):
            _put(found, policy)
    if not found:
        raise UsageError(
            f"{source}: no policy inside: needs a VirtualService with http routes, an HTTPRoute "
            "or a list of policies"
        )
    return tuple(found.values())


class Apart(msgspec.Struct, frozen=True):
    """What `policies_apart` found.

    Attributes:
        policies: Of all resources that can be read.
        refused: By `KIND NAMESPACE/NAME`, why the others cannot.
    """

    policies: tuple[Policy, ...]
    refused: dict[str, str]


def policies_apart(documents: Sequence[Node]) -> Apart:
    """The policies of resources of which each stands for itself, as those of a cluster.

    One that is wrong keeps no other from being read; there may be none at all. Unknown subsets are
    remarks, not errors. Of two that declare one policy in different ways the first counts.

    Args:
        documents: Resources with a name; no lists, no short forms.
    """
    named = [("/".join(istio.resource_name(document)), document) for document in documents]
    namespaces = frozenset(name.partition("/")[0] for name, _ in named)
    context = istio.Context(SubsetTable(), namespaces, {}, strict=False)
    found: dict[str, Policy] = {}
    refused: dict[str, str] = {}
    kinds: list[tuple[Node, str, str]] = []
    for name, document in named:
        title = f"{document.get('kind').text()} {name}"
        try:
            kind = _kind(document)
            _learn(document, kind, context)
            kinds.append((document, kind, title))
        except UsageError as error:
            refused[title] = str(error)
    for document, kind, title in kinds:
        try:
            for policy in _policies(document, kind, context):
                _put(found, policy)
        except UsageError as error:
            refused[title] = str(error)
            found = {name: one for name, one in found.items() if one.resource != title}
    return Apart(tuple(found.values()), refused)


def _put(found: dict[str, Policy], policy: Policy) -> None:
    """Adds a policy. Raises UsageError: another one of this name says something else."""
    before = found.setdefault(policy.name, policy)
    if before is not policy and not _same(before, policy):
        raise UsageError(
            f"{policy.source}: policy {policy.name} differs from that of {before.source}"
        )


def _same(one: Policy, two: Policy) -> bool:
    """Whether two policies say the same, wherever they are written."""
    return (one.match, one.earlier, one.live, one.mirrors, one.rules, one.valid_from_us) == (
        two.match,
        two.earlier,
        two.live,
        two.mirrors,
        two.rules,
        two.valid_from_us,
    )


def _files(path: Path) -> list[Path]:
    """The file itself, or the policy files of a folder; hidden ones are not meant."""
    try:
        if not path.is_dir():
            return [path]
        found = [file for file in path.iterdir() if file.suffix in _SUFFIXES]
        files = sorted(file for file in found if file.name[0] != "." and not file.is_dir())
    except (OSError, ValueError) as err:
        raise UsageError(f"{one_line(str(path))}: cannot be read: {_reason(err)}") from err
    if not files:
        raise UsageError(f"{one_line(str(path))}: holds no .yaml, .yml or .json file")
    return files


def _read(path: Path) -> bytes:
    """At most one byte more than a policy file may have."""
    try:
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as err:
        raise UsageError(f"{one_line(str(path))}: cannot be read: {_reason(err)}") from err


def _reason(err: Exception) -> str:
    return err.strerror if isinstance(err, OSError) and err.strerror else one_line(str(err))


def _kind(document: Node) -> str:
    """The kind of a document when it is one of ours, `policies` for the short form, or empty.

    Raises:
        UsageError: It is no resource and no short form, or of an unknown API version.
    """
    kind = document.get("kind").text("")
    if not kind:
        document.only(("policies",))  # names the nearest known field
        return "policies"
    group, _, version = document.get("apiVersion").text("").rpartition("/")
    if kind in ("VirtualService", "DestinationRule") and group in (istio.GROUP, ""):
        if not group or version not in istio.VERSIONS:
            known = ", ".join(f"{istio.GROUP}/{known}" for known in istio.VERSIONS)
            raise document.get("apiVersion").error(f"must be one of {known}")
        return kind
    if kind == "HTTPRoute" and group == gateway_api.GROUP:
        return kind
    return ""


def _context(kinds: Sequence[tuple[Node, str]]) -> istio.Context:
    """What the resources of all files know together."""
    resources = [document for document, kind in kinds if kind not in ("", "policies")]
    namespaces = frozenset(istio.resource_name(document)[0] for document in resources)
    context = istio.Context(SubsetTable(), namespaces, {})
    for document, kind in kinds:
        _learn(document, kind, context)
    return context


def _learn(document: Node, kind: str, context: istio.Context) -> None:
    """Adds what a resource says about others."""
    spec = document.get("spec")
    if kind == "DestinationRule":
        namespace, _ = istio.resource_name(document)
        host, subsets = read_destination_rule(spec, namespace, context.namespaces)
        context.subsets.declare(host, subsets)
    elif kind == "VirtualService" and not spec.get("hosts").items():
        context.delegates["/".join(istio.resource_name(document))] = spec


def _policies(document: Node, kind: str, context: istio.Context) -> list[Policy]:
    if kind == "policies":
        return read_short(document, context)
    if kind == "VirtualService":
        return istio.read_virtual_service(document, context)
    if kind == "HTTPRoute":
        return gateway_api.read_http_route(document, context)
    return []
