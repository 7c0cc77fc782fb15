"""Ollama's own protocol, `/api/chat` (docs/api.md of ollama/ollama), on this machine and in its cloud."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec

from lakehouse.chat.base import Call, Piece
from lakehouse.decoding import ready


class _Text(msgspec.Struct):
    content: str = ""


@ready
class _Body(msgspec.Struct):
    message: _Text | None = None
    done: bool = False
    done_reason: str | None = None
    prompt_eval_count: int | None = None
    eval_count: int | None = None
    error: str | None = None


class OllamaChat:
    """The dialect."""

    path = "/api/chat"

    def encode(self, call: Call, *, stream: bool) -> bytes:
        """Return the body of the request."""
        options: dict[str, Any] = {}
        if call.max_tokens is not None:
            options["num_predict"] = call.max_tokens
        if call.temperature is not None:
            options["temperature"] = call.temperature
        # Said outright: a model that thinks by default would spend a small budget on thoughts alone.
        body: dict[str, Any] = {
            "model": call.model,
            "messages": call.messages,
            "stream": stream,
            "think": call.think,
            "options": options,
        }
        if call.format is not None:
            body["format"] = "json" if call.format == "json" else call.format.schema
        return msgspec.json.encode(body)

    def decode(self, body: bytes) -> Piece:
        """Read a whole answer.

        Raises:
            ValueError: It is not one.
        """
        return _piece(msgspec.json.decode(body, type=_Body))

    def pieces(self, lines: Iterable[bytes]) -> Iterator[Piece]:
        """Read a streamed answer, one JSON object a line.

        Raises:
            ValueError: A line is not what it must be, or the stream ends early.
        """
        for line in lines:
            if line.strip():
                piece = _piece(msgspec.json.decode(line, type=_Body))
                yield piece
                if piece.last:
                    return
        raise ValueError("the stream ended before the answer did")


def _piece(read: _Body) -> Piece:
    if read.error is not None:
        raise ValueError(read.error[:200])
    if read.message is None:
        raise ValueError("the answer has no message")
    # Older servers say only that they are done, which is then a stop.
    reason = read.done_reason or ("stop" if read.done else "")
    return Piece(
        content=read.message.content,
        finish_reason=reason,
        prompt_tokens=read.prompt_eval_count,
        completion_tokens=read.eval_count,
        last=read.done,
    )
