"""Chat: one call for every provider, within one deadline, tried again only where that can help."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

from lakehouse import tracing
from lakehouse.chat._reading import End, answer_of, estimated, events, lines, readable, refused, rest_of
from lakehouse.chat.base import (
    Call,
    ChatAnswer,
    ChatEvent,
    DataClass,
    Deadline,
    Failed,
    Format,
    Incoming,
    MaxTokens,
    Messages,
    Outgoing,
    Piece,
    ProviderList,
    Temperature,
    Timeout,
)
from lakehouse.errors import InvalidInput, PermissionDenied

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.chat._cassette import Exchanges
    from lakehouse.chat.limits import Gate
    from lakehouse.chat.providers import Provider, Registry

ModelName = Annotated[str, msgspec.Meta(min_length=1, max_length=256)]
Namespace = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]

# Spans of calls to a model; those of calls that ask one besides are about something else.
_SPANS = frozenset({"chat.complete", "chat.stream"})
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.25, 8.0

Targets = list[tuple["Provider", str]]


class Chat:
    """Every registered provider behind one call. Thread-safe; nothing is opened before the first call.

    Args:
        config: The settings section.
        environ: Holds the keys; `os.environ` by default, read at the first call.
        folder: Relative files of `record` and `replay`, and the counts of budgets, are below it.
        sleep, jitter: Wait between tries, and what makes the waits of many callers differ (0 to 1).
    """

    def __init__(
        self,
        config: settings.Chat,
        folder: Path = Path(),
        *,
        environ: Mapping[str, str] | None = None,
        sleep: Callable[[float], None] = time.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        from lakehouse.chat.budgets import Budgets

        self._config = config
        self._folder = folder
        self._environ = os.environ if environ is None else environ
        self._sleep = sleep
        self._jitter = jitter
        self._budgets = Budgets(config.budgets, folder / config.budget_folder, now=time.time)
        self._lock = threading.Lock()
        self._registry: Registry | None = None
        self._gates: dict[str, Gate] = {}
        self._exchanges: Exchanges | None = None

    def complete(  # noqa: PLR0913, PLR0917 - the fields of the wire's request, one argument each
        self,
        model: ModelName,
        messages: Messages,
        max_tokens: MaxTokens | None = None,
        temperature: Temperature | None = None,
        format: Format | None = None,
        think: bool = False,
        timeout_ms: Timeout | None = None,
        namespace: Namespace = "default",
        data_class: DataClass = "general",
    ) -> ChatAnswer:
        """Ask a model and return its answer.

        A request is sent again when the connection broke or the provider is overloaded, as long as the deadline
        allows; then the model's configured fallbacks are asked.

        Args:
            model: With the prefix of its provider (`openrouter/vendor/name`); without one it goes to
                `chat.default_provider`, with the ending `:cloud` to `ollama_cloud`.
            messages: The conversation so far.
            max_tokens: Of the answer.
            temperature: 0 for the likeliest words.
            format: `"json"`, or `{"schema": ...}` for JSON that fits a JSON Schema.
            think: Let the model think aloud first.
            timeout_ms: For everything; `chat.timeout_ms` by default.
            namespace: Whose budget it is.
            data_class: `personal` for data of people: it goes to providers on this machine and to those in
                `chat.personal_providers` only.

        Raises:
            NotFound: The model's provider is not registered.
            PermissionDenied: The data is personal and the provider is not allowed to see it; nothing was sent.
            LimitExceeded: The namespace's budget is used up, the provider is busy, or it refuses for now
                (`detail.upstream` is true).
            Upstream: The provider cannot be reached, refuses, or answers with something that is no answer.
            DeadlineExceeded: It took too long.
        """
        started = time.perf_counter()
        call = Call(
            model=model, messages=messages, max_tokens=max_tokens, temperature=temperature, format=format, think=think
        )
        targets = self._targets(model, data_class)
        prompt = sum(estimated(message.content) for message in call.messages)
        charge = self._budgets.charge(namespace, prompt + (call.max_tokens or 0))
        deadline = Deadline((timeout_ms or self._config.timeout_ms) / 1000)
        used = 0
        try:
            provider, known_as, piece = self._tried(
                targets, deadline, lambda provider, known_as: self._whole(provider, _as(call, known_as), deadline)
            )
            answer = answer_of(piece, provider, known_as, started)
            # A provider that does not count would make the budget endless.
            used = (answer.prompt_tokens or prompt) + (answer.completion_tokens or estimated(answer.content))
            return answer
        finally:
            if charge is not None:
                charge.settle(used)

    def stream(  # noqa: PLR0913, PLR0917 - as `complete`
        self,
        model: ModelName,
        messages: Messages,
        max_tokens: MaxTokens | None = None,
        temperature: Temperature | None = None,
        format: Format | None = None,
        think: bool = False,
        timeout_ms: Timeout | None = None,
        namespace: Namespace = "default",
        data_class: DataClass = "general",
    ) -> Iterator[ChatEvent]:
        """Ask a model and give its answer piece by piece, as server-sent events on the wire.

        Returns once the first piece is there, so that what fails before it fails as `complete` does; nothing is sent
        again after it. The last event has `done`. Arguments and errors are those of `complete`.
        """
        started = time.perf_counter()
        call = Call(
            model=model, messages=messages, max_tokens=max_tokens, temperature=temperature, format=format, think=think
        )
        targets = self._targets(model, data_class)
        prompt = sum(estimated(message.content) for message in call.messages)
        charge = self._budgets.charge(namespace, prompt + (call.max_tokens or 0))
        deadline = Deadline((timeout_ms or self._config.timeout_ms) / 1000)
        try:
            provider, known_as, (first, rest) = self._tried(
                targets, deadline, lambda provider, known_as: self._begun(provider, _as(call, known_as), deadline)
            )
        except BaseException:
            if charge is not None:
                charge.settle(0)
            raise
        end = End(provider, known_as, started, charge, prompt)
        return events(first, rest, end)

    def providers(self) -> ProviderList:
        """List the registered providers, and those that are known and lack something.

        Raises:
            InvalidInput: The configuration of a provider is wrong.
        """
        return self._opened().listed()

    def close(self) -> None:
        """Close the connections; idempotent."""
        with self._lock:
            exchanges, self._exchanges = self._exchanges, None
        if exchanges is not None:
            exchanges.close()

    def _targets(self, model: str, data_class: DataClass) -> Targets:
        """Return the model and its fallbacks with their providers, those that may not see the data left out."""
        registry = self._opened()
        first = registry.resolve(model)
        if data_class == "personal" and not first[0].personal:
            raise PermissionDenied(
                f"the request is marked personal, and provider {first[0].name!r} may not see personal data; name it in"
                " chat.personal_providers, or use a model on this machine",
                provider=first[0].name,
            )
        more = [registry.resolve(name) for name in self._config.fallbacks.get(model, ())]
        return [first, *(target for target in more if data_class == "general" or target[0].personal)]

    def _tried(
        self, targets: Targets, deadline: Deadline, attempt: Callable[[Provider, str], Any]
    ) -> tuple[Provider, str, Any]:
        last: Failed | None = None
        for provider, known_as in targets:
            span = tracing.current_span()
            # Told now: where all fail, no answer says who was asked. Not to a search that asks for opinions.
            if span is not None and span.name in _SPANS:
                span.set(provider=provider.name)
            for number in range(self._config.retries + 1):
                try:
                    return provider, known_as, attempt(provider, known_as)
                except Failed as failed:
                    last = failed
                if not last.again or number == self._config.retries or not self._waited(last, number, deadline):
                    break
        if last is None:
            raise InvalidInput("chat.retries must not be negative", field="chat.retries")
        raise last.error from None

    def _waited(self, failed: Failed, number: int, deadline: Deadline) -> bool:
        """Wait before the next try; false when there is no time for it."""
        wait = min(_LONGEST_WAIT_S, _FIRST_WAIT_S * 2**number) * (0.5 + self._jitter() / 2)
        if failed.after_s is not None:
            wait = max(wait, failed.after_s)
        if wait >= deadline.remaining():
            return False
        self._sleep(wait)
        return True

    def _whole(self, provider: Provider, call: Call, deadline: Deadline) -> Piece:
        with self._sent(provider, call, deadline, stream=False) as answer:
            body = b"".join(answer.chunks)
        with readable(provider):
            return provider.dialect.decode(body)

    def _begun(self, provider: Provider, call: Call, deadline: Deadline) -> tuple[Piece, Generator[Piece, None, None]]:
        """Read a stream up to its first piece; the rest keeps the connection until it is read or dropped."""
        with ExitStack() as held:
            answer = held.enter_context(self._sent(provider, call, deadline, stream=True))
            pieces = provider.dialect.pieces(lines(answer.chunks))
            with readable(provider):
                first = next(pieces, Piece(last=True))
            return first, rest_of(pieces, provider, held.pop_all())

    @contextmanager
    def _sent(self, provider: Provider, call: Call, deadline: Deadline, *, stream: bool) -> Iterator[Incoming]:
        try:
            body = provider.dialect.encode(call, stream=stream)
        except UnicodeEncodeError:
            raise InvalidInput("a message is not valid Unicode", field="messages") from None
        request = Outgoing(provider.url, provider.headers(), body)
        with (
            self._gate(provider).passed(deadline),
            self._wire().exchange(request, deadline, local=provider.local) as answer,
        ):
            if answer.status >= 400:
                raise refused(provider, answer)
            yield answer

    def _gate(self, provider: Provider) -> Gate:
        from lakehouse.chat.limits import Gate

        with self._lock:
            gate = self._gates.get(provider.name)
            if gate is None:
                gate = Gate(provider.name, provider.config.at_once, self._config.max_waiting)
                self._gates[provider.name] = gate
            return gate

    def _opened(self) -> Registry:
        from lakehouse.chat.providers import Registry

        with self._lock:
            if self._registry is None:
                self._registry = Registry(self._config, self._environ)
            return self._registry

    def _wire(self) -> Exchanges:
        from lakehouse.chat._cassette import Recording, Replaying
        from lakehouse.chat._http import Http

        with self._lock:
            if self._exchanges is None:
                config = self._config
                if config.replay:
                    self._exchanges = Replaying(self._folder / config.replay)
                else:
                    plain = Http(most_bytes=config.max_answer_bytes)
                    self._exchanges = Recording(plain, self._folder / config.record) if config.record else plain
            return self._exchanges


def _as(call: Call, known_as: str) -> Call:
    return msgspec.structs.replace(call, model=known_as)
