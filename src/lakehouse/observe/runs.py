"""The shapes of workflows: nodes as they are asked for, and runs as they went. Pure: checks, order, picture."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.observe.modes import Mode

REFERENCE = "$from"
GIVEN = "request"

RunStatus = Literal["running", "succeeded", "failed", "cancelled"]
NodeStatus = Literal["pending", "running", "succeeded", "failed", "skipped", "cancelled"]

NodeId = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class Retry(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often a node is tried when it fails for a reason that may pass.

    Attributes:
        attempts: Tries in all.
        wait_ms: Before the second one.
        backoff: Factor by which the wait grows with each further one.
    """

    attempts: Annotated[int, msgspec.Meta(ge=1, le=20)] = 1
    wait_ms: Annotated[int, msgspec.Meta(ge=0, le=3_600_000)] = 1_000
    backoff: Annotated[float, msgspec.Meta(ge=1, le=10)] = 2.0


class Node(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One node.

    Attributes:
        id: Letters, digits, `_` and `-`.
        mode: What it does.
        inputs: By name; `{"$from": "node"}` or `{"$from": "node.results.0.id"}` is the output of another node or a
            part of it.
        after: Nodes that must have succeeded before, beside those it takes inputs from.
        retry: What to do when it fails.
    """

    id: NodeId
    mode: str
    inputs: dict[str, Any] = {}
    after: list[str] = []
    retry: Retry = Retry()


class NodeRun(msgspec.Struct, frozen=True, kw_only=True):
    """How a node went.

    Attributes:
        output: What its mode returned, null until it has succeeded.
        started_at: RFC 3339, UTC, of the last attempt; null when it never began.
        elapsed_ms: Of the last attempt.
        inputs_from: By input: `request`, or the node and part of its output that it came from.
        attempts: How often it was begun.
        error: Why it failed.
    """

    status: NodeStatus
    output: Any
    mode: str
    started_at: str | None
    elapsed_ms: float | None
    inputs_from: dict[str, str]
    attempts: int = 0
    error: str | None = None


class Run(msgspec.Struct, frozen=True, kw_only=True):
    """A run with its nodes, in the order in which they are worked off."""

    run_id: str
    status: RunStatus
    nodes: dict[str, NodeRun]
    name: str = ""
    created_at: str = ""
    trace_id: str = ""


class RunInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A run in a list."""

    run_id: str
    name: str
    status: RunStatus
    created_at: str
    nodes: int
    done: int


class RunList(msgspec.Struct, frozen=True):
    """Runs, newest first."""

    runs: list[RunInfo]


class Picture(msgspec.Struct, frozen=True):
    """A run drawn as a Mermaid flowchart."""

    mermaid: str


class Resumed(msgspec.Struct, frozen=True):
    """Runs that were taken up again."""

    run_ids: list[str]


def ordered(nodes: Sequence[Node], modes: Mapping[str, Mode]) -> list[Node]:
    """Check a graph and return its nodes in the order of work: what is needed first, then as given.

    Raises:
        InvalidInput: An id twice, a mode or node that does not exist, a circle, an input that its mode refuses; the
            message names the node.
    """
    known: dict[str, Node] = {}
    for node in nodes:
        if node.id in known:
            raise InvalidInput(f"two nodes have the id {node.id!r}", field="nodes", node=node.id)
        known[node.id] = node
    for node in nodes:
        if node.mode not in modes:
            raise InvalidInput(
                f"node {node.id!r} names the mode {node.mode!r}; there are: {', '.join(sorted(modes))}",
                field="mode",
                node=node.id,
            )
        for needed in needs(node):
            if needed not in known:
                raise InvalidInput(f"node {node.id!r} needs {needed!r}, which is no node", field="inputs", node=node.id)
        _check_inputs(node, modes[node.mode])
    return _sorted(nodes, known)


def needs(node: Node) -> list[str]:
    """Return the nodes that must have succeeded before, without repeats."""
    sources = (reference.partition(".")[0] for _, reference in references(node.inputs))
    return list(dict.fromkeys([*sources, *node.after]))


def references(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """Yield every reference inside inputs, with the name of the input it stands in."""
    if isinstance(value, dict):
        if set(value) == {REFERENCE} and isinstance(value[REFERENCE], str):
            yield name, value[REFERENCE]
            return
        for key, inner in value.items():
            yield from references(inner, name or key)
    elif isinstance(value, list):
        for inner in value:
            yield from references(inner, name)


def provenance(node: Node) -> dict[str, str]:
    """Return where each input comes from."""
    found: dict[str, list[str]] = {name: [] for name in node.inputs}
    for name, reference in references(node.inputs):
        found[name].append(reference)
    return {name: ", ".join(sources) or GIVEN for name, sources in found.items()}


def resolved(value: Any, outputs: Callable[[str], Any]) -> Any:
    """Return inputs with every reference replaced by what it stands for.

    Raises:
        InvalidInput: An output has no such part.
    """
    if isinstance(value, dict):
        if set(value) == {REFERENCE} and isinstance(value[REFERENCE], str):
            return _part(value[REFERENCE], outputs)
        return {key: resolved(inner, outputs) for key, inner in value.items()}
    if isinstance(value, list):
        return [resolved(inner, outputs) for inner in value]
    return value


def converted(node: Node, mode: Mode, values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the inputs of a node as its mode wants them.

    Raises:
        InvalidInput: The mode refuses one; the message names node and input.
    """
    try:
        return mode.checked(values)
    except msgspec.ValidationError as error:
        raise _refusal(node, mode, str(error)) from None


def mermaid(nodes: Sequence[Node], run: Run) -> str:
    """Draw a run."""
    lines = ["flowchart TD"]
    short = {node.id: f"n{nth}" for nth, node in enumerate(nodes)}
    for node in nodes:
        went = run.nodes[node.id]
        took = f"<br/>{went.elapsed_ms:,.1f} ms" if went.elapsed_ms is not None else ""
        # Modes are named by whoever adds them, and the picture is a page's text.
        label = f"{node.id}<br/>{_escaped(node.mode)}<br/>{went.status}{took}"
        lines.append(f'    {short[node.id]}["{label}"]:::{went.status}')
    for node in nodes:
        for needed in needs(node):
            inputs = [name for name, source in references(node.inputs) if source.partition(".")[0] == needed]
            arrow = f'-- "{_escaped(", ".join(inputs))}" -->' if inputs else "-.->"
            lines.append(f"    {short[needed]} {arrow} {short[node.id]}")
    lines += [f"    classDef {status} {style}" for status, style in _STYLES.items()]
    return "\n".join(lines) + "\n"


_STYLES: dict[NodeStatus, str] = {
    "pending": "fill:#f4f4f4,stroke:#999",
    "running": "fill:#fff3c4,stroke:#b58900",
    "succeeded": "fill:#d9f2dc,stroke:#2e7d32",
    "failed": "fill:#fbd9d6,stroke:#c62828",
    "skipped": "fill:#eee,stroke:#999,stroke-dasharray:4",
    "cancelled": "fill:#eee,stroke:#555,stroke-dasharray:4",
}


def _escaped(text: str) -> str:
    return "".join(letter if letter.isalnum() or letter in " ._-," else f"#{ord(letter)};" for letter in text)


def _refusal(node: Node, mode: Mode, words: str) -> InvalidInput:
    """Say what msgspec said."""
    reason = words.replace("`", "'").replace("$.", "").replace("Object", "The input")
    return InvalidInput(f"node {node.id!r} ({mode.name}): {reason}", field="inputs", node=node.id)


def _check_inputs(node: Node, mode: Mode) -> None:
    """Refuse what is wrong with the inputs of a node, whatever other nodes give."""
    referring = {name for name, _ in references(node.inputs)}
    if not referring:
        converted(node, mode, node.inputs)
        return
    fields = {field.encode_name: field for field in msgspec.structs.fields(mode.inputs)}
    unknown = [name for name in node.inputs if name not in fields]
    missing = [name for name, field in fields.items() if field.required and name not in node.inputs]
    if unknown:
        raise InvalidInput(
            f"node {node.id!r} ({mode.name}) has no input {unknown[0]!r}; there are: {', '.join(fields)}",
            field="inputs",
            node=node.id,
        )
    if missing:
        raise InvalidInput(
            f"node {node.id!r} ({mode.name}) needs the input {missing[0]!r}", field="inputs", node=node.id
        )
    for name, value in node.inputs.items():
        if name not in referring:
            _check_type(node, mode, value, fields[name])


def _check_type(node: Node, mode: Mode, value: Any, field: msgspec.structs.FieldInfo) -> None:
    try:
        msgspec.convert(value, field.type)
    except msgspec.ValidationError as error:
        # msgspec does not know that the value stands in a field: `$[0].id` is `$.verdicts[0].id`.
        reason, _, place = str(error).partition(" - at `$")
        raise _refusal(node, mode, f"{reason} - at `$.{field.encode_name}{place or '`'}") from None


def _sorted(nodes: Sequence[Node], known: Mapping[str, Node]) -> list[Node]:
    position = {node.id: nth for nth, node in enumerate(nodes)}
    waits = {node.id: set(needs(node)) for node in nodes}
    ready = [position[id] for id, needed in waits.items() if not needed]
    heapq.heapify(ready)
    found: list[Node] = []
    while ready:
        node = nodes[heapq.heappop(ready)]
        found.append(node)
        for other, needed in waits.items():
            if node.id in needed:
                needed.discard(node.id)
                if not needed:
                    heapq.heappush(ready, position[other])
    if len(found) < len(nodes):
        circle = ", ".join(sorted(set(known) - {node.id for node in found}))
        raise InvalidInput(f"nodes wait for each other in a circle: {circle}", field="nodes")
    return found


def _part(reference: str, outputs: Callable[[str], Any]) -> Any:
    id, _, path = reference.partition(".")
    value = outputs(id)
    for step in path.split(".") if path else []:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            raise InvalidInput(f"the output of node {id!r} has no {path!r} (at {step!r})", field="inputs", node=id)
    return value
