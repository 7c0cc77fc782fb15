"""Chat Completions, the protocol of OpenAI that most providers speak."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from lakehouse.chat.base import Call, Piece
from lakehouse.decoding import ready

Thinking = Literal["", "reasoning", "template"]

_EVENT = b"data:"
_END = b"[DONE]"


class _Text(msgspec.Struct):
    content: str | None = None


class _Choice(msgspec.Struct):
    message: _Text | None = None
    delta: _Text | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@ready
class _Body(msgspec.Struct):
    choices: list[_Choice] | None = None
    usage: _Usage | None = None
    error: Any = None


class ChatCompletions:
    """The dialect.

    Args:
        thinking: How the provider is told not to think aloud: by the field `reasoning` (OpenRouter), by an argument of
            the chat template (llama.cpp, vLLM), or not at all.
        schemas: Whether it takes a JSON Schema; without, a request with one asks for plain JSON.
    """

    path = "/chat/completions"

    def __init__(self, *, thinking: Thinking = "", schemas: bool = True) -> None:
        self._thinking = thinking
        self._schemas = schemas

    def encode(self, call: Call, *, stream: bool) -> bytes:
        """Return the body of the request."""
        body: dict[str, Any] = {"model": call.model, "messages": call.messages, "stream": stream}
        if stream:
            body["stream_options"] = {"include_usage": True}
        if call.max_tokens is not None:
            body["max_tokens"] = call.max_tokens
        if call.temperature is not None:
            body["temperature"] = call.temperature
        if call.format is not None:
            body["response_format"] = self._format(call)
        if self._thinking == "reasoning":
            body["reasoning"] = {"enabled": call.think}
        elif self._thinking == "template":
            body["chat_template_kwargs"] = {"enable_thinking": call.think}
        return msgspec.json.encode(body)

    def _format(self, call: Call) -> dict[str, Any]:
        if call.format == "json" or call.format is None or not self._schemas:
            return {"type": "json_object"}
        named = {"name": "answer", "schema": call.format.schema}
        return {"type": "json_schema", "json_schema": named}

    def decode(self, body: bytes) -> Piece:
        """Read a whole answer.

        Raises:
            ValueError: It is not one, or has no choices.
        """
        read = msgspec.json.decode(body, type=_Body)
        if not read.choices:
            raise ValueError(_reason(read.error) or "the answer has no choices")
        choice = read.choices[0]
        if choice.message is None:
            raise ValueError("the answer's choice has no message")
        return _piece(choice, choice.message, read.usage, last=True)

    def pieces(self, lines: Iterable[bytes]) -> Iterator[Piece]:
        """Read a streamed answer, `data: {...}` line by line.

        Raises:
            ValueError: A line is not what it must be, or the stream ends early.
        """
        finished = False
        for line in lines:
            if not line.startswith(_EVENT):
                continue
            data = line[len(_EVENT) :].strip()
            if data == _END:
                finished = True
                break
            read = msgspec.json.decode(data, type=_Body)
            if read.error is not None:
                raise ValueError(_reason(read.error) or "the provider broke off")
            choice = read.choices[0] if read.choices else _Choice()
            finished = finished or choice.finish_reason is not None
            yield _piece(choice, choice.delta or _Text(), read.usage)
        if not finished:
            raise ValueError("the stream ended before the answer did")
        yield Piece(last=True)


def _piece(choice: _Choice, text: _Text, usage: _Usage | None, *, last: bool = False) -> Piece:
    return Piece(
        content=text.content or "",
        finish_reason=choice.finish_reason or "",
        prompt_tokens=usage.prompt_tokens if usage else None,
        completion_tokens=usage.completion_tokens if usage else None,
        last=last,
    )


def _reason(error: Any) -> str:
    message = error.get("message") if isinstance(error, dict) else error
    return message[:200] if isinstance(message, str) else ""
