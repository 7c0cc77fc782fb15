"""The one place that knows how a span of this product reads to others.

Names follow the semantic conventions of OpenTelemetry for generative AI; what they have no name for stands under
`lakehouse.`. Langfuse's own names are added on demand. `ask` looks at a call before it, so that what it was about is
known however it ends, `answer` at what came of it; `attributes` puts the result into words later and elsewhere, so that
it costs the caller nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from lakehouse.observe._sender import EndedSpan
    from lakehouse.tracing import Span

Facts = dict[str, Any]

_LONGEST_CONTENT = 8_000
_SHORTEST_MESSAGE = 200
_MOST_LISTED = 20
_PERSONAL = re.compile(
    r"""(?P<email>(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8})
      | (?P<ssn>(?<![\w-])\d{3}-\d{2}-\d{4}(?![\w-]))
      | (?P<phone>(?<![\w/.-])(?:\+?\d{1,2}[\s.-]?)?(?:\(\d{3}\)\s?|\d{3}[\s.-])\d{3}[\s.-]?\d{4}(?![\w-]))""",
    re.VERBOSE,
)


def masked(text: str) -> str:
    """Return text with addresses, telephone and social security numbers replaced by what they were.

    >>> masked("call Maria at (216) 555-0101 or maria@example.com")
    'call Maria at [phone] or [email]'
    """
    return _PERSONAL.sub(lambda found: f"[{found.lastgroup}]", text)


def ask(span: Span, arguments: Mapping[str, Any], *, content: bool) -> None:
    """Tell the span of a call that begins what it is about: numbers and names of things, for most nothing.

    Args:
        span: Of the name of the operation.
        arguments: Of the call.
        content: Tell also what goes in, as text, which may be personal; whole files and vectors are left out.
    """
    if of := _ASKED.get(span.name):
        span.attributes |= of(arguments)
    if content and span.name in _WITH_CONTENT:
        span.content |= _messages(arguments["messages"]) if span.name in _CHATS else {"input": _given(arguments)}


def answer(span: Span, arguments: Mapping[str, Any], came: Any, *, content: bool) -> None:
    """Tell the span of a call what came of it, likewise; of people found no more than ids, of a long list the first."""
    if of := _ANSWERED.get(span.name):
        span.attributes |= of(came)
    if content and span.name in _WITH_CONTENT:
        if span.name in _CHATS:
            span.content |= _said(came)
        else:
            short = _OUTPUT_OF.get(span.name)
            span.content["output"] = _text(short(arguments, came) if short else _short(came))


def attributes(span: Span | EndedSpan, *, langfuse: bool, session: str, tags: tuple[str, ...]) -> Facts:
    """Return all attributes of a span for others to read."""
    found: Facts = {}
    for key, value in span.attributes.items():
        found[_GEN_AI.get(key, f"lakehouse.{key}")] = value
    operation = _operation(span.name)
    if operation:
        found["gen_ai.operation.name"] = operation
        if operation != "chat":
            found.setdefault("gen_ai.provider.name", "lakehouse")
    if span.trace_id and not _is_hex(span.trace_id):
        found["lakehouse.trace_id"] = span.trace_id
    if span.error:
        found["error.type"] = span.error
    given = {key: masked(_text(_as_message(operation, value))) for key, value in span.content.items()}
    names = _CONTENT.get(operation, {})
    found.update({names.get(key, f"lakehouse.{key}"): text for key, text in given.items()})
    if langfuse:
        found |= _langfuse(span, operation, given, session=session, tags=tags)
    elif session:
        found["session.id"] = session
    return found


def _langfuse(
    span: Span | EndedSpan, operation: str, given: Mapping[str, str], *, session: str, tags: tuple[str, ...]
) -> Facts:
    found: Facts = {"langfuse.observation.type": _LANGFUSE_TYPE.get(operation, "span")}
    if session:
        found["langfuse.session.id"] = session
    if tags:
        found["langfuse.trace.tags"] = list(tags)
    if not span.parent_id:
        found["langfuse.trace.name"] = span.name
    for key in ("input", "output"):
        if key in given:
            found[f"langfuse.observation.{key}"] = given[key]
            if not span.parent_id:
                found[f"langfuse.trace.{key}"] = given[key]
    if span.error:
        found["langfuse.observation.level"] = "ERROR"
    return found


_GEN_AI = {
    "model": "gen_ai.request.model",
    "answered_by": "gen_ai.response.model",
    "provider": "gen_ai.provider.name",
    "k": "gen_ai.request.top_k",
    "corpora": "gen_ai.data_source.id",
    "corpus": "gen_ai.data_source.id",
    "dimension": "gen_ai.embeddings.dimension.count",
    "max_tokens": "gen_ai.request.max_tokens",
    "temperature": "gen_ai.request.temperature",
    "prompt_tokens": "gen_ai.usage.input_tokens",
    "completion_tokens": "gen_ai.usage.output_tokens",
    "finish_reasons": "gen_ai.response.finish_reasons",
    "workflow": "gen_ai.workflow.name",
}
_OPERATIONS = {
    "matrix.search": "retrieval",
    "matrix.corpus": "retrieval",
    "vectors.search": "retrieval",
    "embed.texts": "embeddings",
    "embed": "embeddings",
    "chat.complete": "chat",
    # What is known at the end of a stream stands in a span of its own, which ends with it.
    "chat.answer": "chat",
    "workflow.run": "invoke_workflow",
}
_CONTENT = {
    "chat": {"input": "gen_ai.input.messages", "output": "gen_ai.output.messages"},
    "retrieval": {"input": "gen_ai.retrieval.query.text", "output": "gen_ai.retrieval.documents"},
}
_LANGFUSE_TYPE = {"chat": "generation", "embeddings": "embedding", "retrieval": "retriever", "invoke_workflow": "chain"}
_CHATS = frozenset({"chat.complete", "chat.stream"})
_UNSAID: tuple[Any, ...] = (None, "", [], {})


def _operation(name: str) -> str:
    return _OPERATIONS.get(name, "")


def _is_hex(trace_id: str) -> bool:
    return re.fullmatch("[0-9a-f]{32}", trace_id) is not None


def _searching(arguments: Mapping[str, Any]) -> Facts:
    return {"k": arguments["k"], "corpora": ",".join(arguments["corpora"])}


def _searched(answer: Any) -> Facts:
    results = answer.results
    return {
        "results": len(results),
        "top_distance": results[0].distance if results else -1.0,
        "top_rating": (results[0].rating or 0) if results else 0,
        "boosted": answer.boosted,
        "injected": answer.injected,
        "excluded": answer.excluded,
        "no_good_match": answer.no_good_match,
    }


def _chatting(arguments: Mapping[str, Any]) -> Facts:
    keys = ("model", "max_tokens", "temperature", "namespace")
    return {key: arguments[key] for key in keys if arguments.get(key) is not None}


def _chatted(answer: Any) -> Facts:
    pairs = {
        "answered_by": "model",
        "provider": "provider",
        "prompt_tokens": "prompt_tokens",
        "completion_tokens": "completion_tokens",
    }
    told = {key: value for key, field in pairs.items() if (value := getattr(answer, field, None)) is not None}
    reason = getattr(answer, "finish_reason", None)
    return {**told, "finish_reasons": [reason]} if reason else told


_ASKED: dict[str, Callable[[Mapping[str, Any]], Facts]] = {
    "matrix.search": _searching,
    "embed.texts": lambda arguments: {"texts": len(arguments["texts"])},
    "chat.complete": _chatting,
    "chat.stream": _chatting,
    "workflow.run": lambda arguments: {"workflow": arguments.get("name") or "workflow"},
    "validate.check": lambda arguments: {"artifact": arguments["artifact"]},
    "iterate.run": lambda arguments: {"artifact": arguments["artifact"]},
}
_ANSWERED: dict[str, Callable[[Any], Facts]] = {
    "matrix.search": _searched,
    "embed.texts": lambda answer: {"model": answer.model, "dimension": answer.dimension},
    "chat.complete": _chatted,
    "sql.query": lambda answer: {"rows": answer.row_count, "truncated": answer.truncated},
    "workflow.run": lambda answer: {"run": answer.run_id, "status": answer.status},
    "validate.check": lambda answer: {"warnings": len(answer.findings)},
    "iterate.run": lambda answer: {"attempts": len(answer.attempts), "status": answer.status},
}


def _demand(demand: Any) -> Facts:
    """Return a demand without its notes and the people on it, who would be too many to tell whole."""
    return {"id": demand.id, "namespace": demand.namespace, "line": demand.line}


def _filled(_arguments: Mapping[str, Any], answer: Any) -> Facts:
    fills = {each.id: each.fill_id for each in answer.demand.people}
    return {
        "filled": [{"id": id, "fill_id": fills.get(id, "")} for id in answer.filled],
        "refused": answer.refused[:_MOST_LISTED],
        "warnings": answer.warnings[:_MOST_LISTED],
        "demand": _demand(answer.demand),
    }


def _learned(arguments: Mapping[str, Any], answer: Any) -> Facts:
    corpus = next((each.corpus for each in answer.demand.people if each.id == arguments["worker_id"]), "")
    return {
        "entry": answer.entry,
        "created": answer.created,
        "posterior": answer.posterior,
        "corpus": corpus,
        "demand": _demand(answer.demand),
    }


_OUTPUT_OF: dict[str, Callable[[Mapping[str, Any], Any], Facts]] = {
    "demands.fill": _filled,
    "demands.outcome": _learned,
    "demands.undo": lambda _arguments, answer: {"demand": _demand(answer)},
}
_WITH_CONTENT = frozenset(
    {
        "matrix.search",
        "demand.parse",
        "playbooks.record",
        "sql.query",
        "playbooks.bulk",
        "chat.complete",
        "chat.stream",
        "validate.check",
        "validate.accept",
        "iterate.run",
        "workflow.run",
        "inbox.receive",
        "inbox.match",
        "demands.fill",
        "demands.outcome",
        "demands.undo",
    }
)


def _messages(messages: Sequence[Any]) -> Facts:
    """Return what was asked in the form of the conventions, and whether some of it had to be left out."""
    each = max(_SHORTEST_MESSAGE, _LONGEST_CONTENT // (2 * len(messages)))
    told: Facts = {"input": [_message(one.role, one.content[:each]) for one in messages]}
    return {**told, "input_cut": True} if any(len(one.content) > each for one in messages) else told


def _said(answer: Any) -> Facts:
    """Return what a model said likewise; what a stream says stands in the span that ends with it."""
    if not hasattr(answer, "content"):
        return {}
    most = _LONGEST_CONTENT // 2
    message = {**_message("assistant", answer.content[:most]), "finish_reason": answer.finish_reason}
    told: Facts = {"output": [message]}
    return {**told, "output_cut": True} if len(answer.content) > most else told


def _as_message(operation: str, value: Any) -> Any:
    if operation == "chat" and isinstance(value, str):
        return [_message("assistant", value[: _LONGEST_CONTENT // 2])]
    return value


def _message(role: str, text: str) -> Facts:
    return {"role": role, "parts": [{"type": "text", "content": text}]}


def _given(arguments: Mapping[str, Any]) -> str:
    return _text(
        {field: value for field, value in arguments.items() if not isinstance(value, bytes) and value not in _UNSAID}
    )


def _short(answer: Any) -> Any:
    """Return the answer without what every person is known by: of results only ids, distances and ratings."""
    results = getattr(answer, "results", None)
    if isinstance(results, list) and results and hasattr(results[0], "distance"):
        return [
            {"id": hit.id, "distance": hit.distance, "rating": getattr(hit, "rating", None)}
            for hit in results[:_MOST_LISTED]
        ]
    return answer


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value[:_LONGEST_CONTENT]
    return json.dumps(msgspec.to_builtins(value, enc_hook=str), ensure_ascii=False, default=str)[:_LONGEST_CONTENT]
