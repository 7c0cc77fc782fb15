"""The shapes of chat: what a caller gives and gets, and what each kind of provider must be able to do."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, Literal, Protocol

import msgspec

from lakehouse.errors import LakehouseError

DataClass = Literal["general", "personal"]
MaxTokens = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
Temperature = Annotated[float, msgspec.Meta(ge=0, le=2)]
Timeout = Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]


class Message(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class SchemaFormat(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Answer with JSON that fits a JSON Schema."""

    schema: dict[str, Any]


Format = Literal["json"] | SchemaFormat
Messages = Annotated[list[Message], msgspec.Meta(min_length=1, max_length=1_000)]


class ChatAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """What a model said.

    Attributes:
        model: As the provider was asked for it, without prefix.
        provider: Name of the provider.
        finish_reason: The provider's own word: `stop`, `length` when the answer was cut; `unknown` when it has none.
        prompt_tokens, completion_tokens: As the provider counted; 0 when it did not.
        latency_ms: From call to answer, retries and waiting included.
    """

    content: str
    model: str
    provider: str
    finish_reason: str
    prompt_tokens: int
    completion_tokens: int
    latency_ms: float


class ChatEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One piece of a streamed answer; the last one has `done` and what only the end tells."""

    content: str = ""
    done: ChatAnswer | None = None


class ProviderInfo(msgspec.Struct, frozen=True, kw_only=True):
    """A registered provider.

    Attributes:
        prefix: Chooses it in a model's name, and is not sent along.
        url: Where it is, without credentials.
        local: It runs on this machine.
        personal: Requests marked personal may go to it.
        default: It gets models without a prefix.
    """

    name: str
    prefix: str
    url: str
    local: bool
    personal: bool
    default: bool


class MissingProvider(msgspec.Struct, frozen=True):
    """A provider that is known and not registered, and what it lacks."""

    name: str
    reason: str


class ProviderList(msgspec.Struct, frozen=True):
    """All providers, by name."""

    providers: list[ProviderInfo]
    missing: list[MissingProvider]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A request as a provider gets it: the model without its prefix."""

    model: str
    messages: list[Message]
    max_tokens: int | None = None
    temperature: float | None = None
    format: Format | None = None
    think: bool = False


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer or a part of one; what a part does not tell is empty or null."""

    content: str = ""
    finish_reason: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    last: bool = False


class Dialect(Protocol):
    """How one kind of provider is spoken to. Knows bytes only, nothing of networks."""

    path: str

    def encode(self, call: Call, *, stream: bool) -> bytes:
        """Return the body of the request."""

    def decode(self, body: bytes) -> Piece:
        """Read a whole answer.

        Raises:
            ValueError: It is not one; the message says why.
        """

    def pieces(self, lines: Iterable[bytes]) -> Iterator[Piece]:
        """Read a streamed answer line by line; the last piece has `last`.

        Raises:
            ValueError: A line is not what it must be.
        """


class Deadline:
    """A moment by which everything must be done.

    >>> Deadline(60).remaining() > 59
    True
    """

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._end = time.monotonic() + seconds

    def remaining(self) -> float:
        """Return the seconds left, 0 when it is over."""
        return max(0.0, self._end - time.monotonic())


class Failed(Exception):
    """One try failed.

    Args:
        error: What the caller sees when no other try succeeds.
        again: Whether the same request may succeed when it is sent again.
        after_s: How long the provider asks to wait before that, null when it does not say.
    """

    def __init__(self, error: LakehouseError, *, again: bool, after_s: float | None = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.again = again
        self.after_s = after_s


class Outgoing(msgspec.Struct, frozen=True):
    """One HTTP request; `headers` may hold a key and are never written down."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Incoming(msgspec.Struct, frozen=True):
    """The answer to it: `chunks` are read while the exchange is open."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes]
