"""What a provider answered, as pieces and answers, or as the error that the caller sees."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse import tracing
from lakehouse.chat.base import ChatAnswer, ChatEvent, Failed, Incoming, Piece
from lakehouse.errors import LimitExceeded, Upstream, UpstreamRefused

if TYPE_CHECKING:
    from lakehouse.chat.budgets import Charge
    from lakehouse.chat.providers import Provider

_AGAIN = frozenset({408, 425, 500, 502, 503, 504, 529})
_MOST_REASON = 200
_LONGEST_ASKED_S = 3_600.0
_BYTES_PER_TOKEN = 4


def refused(provider: Provider, answer: Incoming) -> Failed:
    """Turn an error status into what the caller sees."""
    try:
        reason = provider.redacted(_reason(b"".join(answer.chunks)))
    except Failed:
        reason = ""
    said = f"{provider.name} answered {answer.status}" + (f": {reason}" if reason else "")
    after = _seconds(answer.headers.get("retry-after", ""))
    if answer.status == 429:
        limit = LimitExceeded(said, provider=provider.name, upstream=True, retry_after_s=after)
        return Failed(limit, again=True, after_s=after)
    again = answer.status in _AGAIN
    kind = Upstream if again or answer.status >= 500 else UpstreamRefused
    return Failed(kind(said, provider=provider.name, status=answer.status), again=again, after_s=after)


def _reason(body: bytes) -> str:
    try:
        read = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return ""
    error = read.get("error") if isinstance(read, dict) else None
    message = error.get("message") if isinstance(error, dict) else error
    return " ".join(message.split())[:_MOST_REASON] if isinstance(message, str) else ""


def _seconds(text: str) -> float | None:
    return min(float(text), _LONGEST_ASKED_S) if text.isascii() and text.isdigit() else None


@contextmanager
def readable(provider: Provider) -> Iterator[None]:
    """Name what cannot be read as an answer."""
    try:
        yield
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as error:
        reason = f"{provider.name} answered with something that is no answer: {error}"
        raise Failed(Upstream(reason[: 2 * _MOST_REASON], provider=provider.name), again=False) from None


def lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Split a stream into lines, without their ends."""
    buffer = b""
    for chunk in chunks:
        *whole, buffer = (buffer + chunk).split(b"\n")
        yield from (line.rstrip(b"\r") for line in whole)
    if buffer:
        yield buffer


def rest_of(pieces: Iterator[Piece], provider: Provider, held: ExitStack) -> Generator[Piece, None, None]:
    """Read a stream to its end; what is held is let go then, or when the generator is closed."""
    return _begun(_rest(pieces, provider, held))


def _rest(pieces: Iterator[Piece], provider: Provider, held: ExitStack) -> Generator[Piece | None, None, None]:
    with held:
        yield None
        while True:
            with readable(provider):
                piece = next(pieces, None)
            if piece is None:
                return
            yield piece


def _begun(generator: Generator[Any, None, None]) -> Generator[Any, None, None]:
    """Run a generator up to its first `yield`: closing one that has not begun would skip its `finally`."""
    next(generator)
    return generator


def estimated(text: str) -> int:
    """Return about how many tokens a text has, for budgets where nobody counts."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)


class End(msgspec.Struct, frozen=True):
    """What is known before a stream and told at its end; `prompt` is the estimate of its tokens."""

    provider: Provider
    known_as: str
    started: float
    charge: Charge | None
    prompt: int


def events(first: Piece, rest: Generator[Piece, None, None], end: End) -> Generator[ChatEvent, None, None]:
    """Turn pieces into events; the last one has the whole answer, and so has a span that ends with the stream.

    Raises:
        LakehouseError: The stream broke off, after what was given already.
    """
    # Begun now, while the call is at hand: the events are asked for later, from wherever.
    span = tracing.span("chat.answer", model=end.known_as, provider=end.provider.name)
    return _begun(_events(first, rest, end, span))


def _events(
    first: Piece, rest: Generator[Piece, None, None], end: End, span: Any
) -> Generator[ChatEvent | None, None, None]:
    total = first
    text = [first.content]
    error: BaseException | None = None
    try:
        yield None
        if first.content:
            yield ChatEvent(content=first.content)
        try:
            for piece in rest:
                total = _added(total, piece)
                if piece.content:
                    text.append(piece.content)
                    yield ChatEvent(content=piece.content)
        except Failed as failed:
            error = failed.error
            raise error from None
        whole = msgspec.structs.replace(total, content="".join(text))
        yield ChatEvent(done=_told(answer_of(whole, end.provider, end.known_as, end.started), span))
    finally:
        rest.close()
        if end.charge is not None:
            end.charge.settle((total.prompt_tokens or end.prompt) + (total.completion_tokens or len(text)))
        span.end(error)


def _told(answer: ChatAnswer, span: Any) -> ChatAnswer:
    span.set(
        answered_by=answer.model,
        prompt_tokens=answer.prompt_tokens,
        completion_tokens=answer.completion_tokens,
        finish_reasons=[answer.finish_reason],
    )
    span.put(output=answer.content)
    return answer


def _added(total: Piece, piece: Piece) -> Piece:
    return Piece(
        finish_reason=piece.finish_reason or total.finish_reason,
        prompt_tokens=total.prompt_tokens if piece.prompt_tokens is None else piece.prompt_tokens,
        completion_tokens=total.completion_tokens if piece.completion_tokens is None else piece.completion_tokens,
        last=piece.last,
    )


def answer_of(piece: Piece, provider: Provider, known_as: str, started: float) -> ChatAnswer:
    """Turn a whole answer into what the caller gets."""
    return ChatAnswer(
        content=piece.content,
        model=known_as,
        provider=provider.name,
        finish_reason=piece.finish_reason or "unknown",
        prompt_tokens=piece.prompt_tokens or 0,
        completion_tokens=piece.completion_tokens or 0,
        latency_ms=round((time.perf_counter() - started) * 1000, 3),
    )
