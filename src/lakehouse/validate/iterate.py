"""Iterate: a model proposes, the validators decide, and only what passed comes out.

What the loop does depends on verdicts alone. No text of a model, a resume or an email is ever read for what to do next.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import msgspec

from lakehouse import tracing
from lakehouse.errors import (
    DeadlineExceeded,
    InvalidInput,
    LakehouseError,
    NotFound,
    PermissionDenied,
    Upstream,
    UpstreamRefused,
    ValidationFailed,
)
from lakehouse.validate import prompts, session_list
from lakehouse.validate.base import ArtifactKind, Context, Finding, consistency
from lakehouse.validate.extract import extract_json
from lakehouse.validate.prompts import Document, Turn
from lakehouse.validate.session import Attempt, Session, SessionLog, Status
from lakehouse.validate.session_list import SessionList

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.validate.service import Accepted, Checked, Validators

Prompt = Annotated[str, msgspec.Meta(min_length=1, max_length=200_000)]
Iterations = Annotated[int, msgspec.Meta(ge=1, le=10)]
Tokens = Annotated[int, msgspec.Meta(ge=1, le=1_000_000)]
DeadlineMs = Annotated[int, msgspec.Meta(ge=1, le=3_600_000)]
Documents = Annotated[list[Document], msgspec.Meta(max_length=200)]

_NO_CONTEXT = Context()
_SHOWN_FINDINGS = 5
# The caller's own mistakes; no session comes of them unless a model was asked before they showed.
_CALLERS = (InvalidInput, NotFound, PermissionDenied)


class Reply(Protocol):
    """What is used of a model's answer."""

    @property
    def content(self) -> str:
        """The text."""

    @property
    def provider(self) -> str:
        """Who gave it."""

    @property
    def finish_reason(self) -> str:
        """Why it ended."""

    @property
    def prompt_tokens(self) -> int:
        """Tokens read."""

    @property
    def completion_tokens(self) -> int:
        """Tokens written."""

    @property
    def latency_ms(self) -> float:
        """Time taken."""


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """One request to a model; `schema` is the JSON Schema of the answer."""

    model: str
    turns: Sequence[Turn]
    schema: dict[str, Any]
    max_tokens: int
    timeout_ms: int
    namespace: str
    data_class: Literal["general", "personal"]


class Iterated(msgspec.Struct, frozen=True, kw_only=True):
    """An accepted artifact and how it came about.

    Attributes:
        artifact: The JSON object that passed.
        attempts: All tries, the accepted one last.
        session_id: Of the row in the session log; the trace id.
        grounded_in_roster: True for a fill: everybody in it was looked up once more; null for all else.
        findings: Warnings: what could not be checked.
        fill_id: Names an accepted fill, see `validate.release`; empty for all else.
    """

    status: Literal["accepted"] = "accepted"
    artifact: dict[str, Any]
    attempts: list[Attempt]
    session_id: str
    grounded_in_roster: bool | None
    findings: list[Finding]
    fill_id: str = ""


class _Budget:
    """Tokens and time that are left."""

    def __init__(self, tokens: int, deadline_ms: int) -> None:
        self.tokens = tokens
        self._end = time.monotonic() + deadline_ms / 1000
        self._deadline_ms = deadline_ms

    def left_ms(self) -> int:
        """Return the time left.

        Raises:
            DeadlineExceeded: There is none.
        """
        left = int((self._end - time.monotonic()) * 1000)
        if left < 1:
            raise DeadlineExceeded(f"the iterate took longer than {self._deadline_ms} ms", timeout_ms=self._deadline_ms)
        return left


class _Passed(msgspec.Struct, frozen=True):
    artifact: dict[str, Any]
    checked: Checked
    grounded: bool | None
    booked: Accepted | None


class Iterate:
    """The loop. Thread-safe.

    Args:
        config: The settings section, for what a request does not say.
        complete: Asks a model.
        validators: Decide.
        log: Takes one row per iterate.
        clock: The time, with its zone.
    """

    def __init__(
        self,
        config: settings.Validatord,
        *,
        complete: Callable[[Ask], Reply],
        validators: Validators,
        log: SessionLog,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._config = config
        self._complete = complete
        self._validators = validators
        self._log = log
        self._reader = session_list.SessionReader(log.path)
        self._clock = clock

    def sessions(self, limit: Annotated[int, msgspec.Meta(ge=1, le=session_list.MOST)] = 20) -> SessionList:
        """List what models were asked for of late and how it ended, and the alarm; without prompts and artifacts.

        The alarm is an accepted fill with somebody who is not in the roster. There is never one.

        Args:
            limit: At most this many sessions, newest first.
        """
        return self._reader.list(limit)

    def run(  # noqa: PLR0913, PLR0917 - the fields of the wire's request, one argument each
        self,
        artifact: ArtifactKind,
        prompt: Prompt,
        model: Annotated[str, msgspec.Meta(min_length=1, max_length=256)],
        max_iterations: Iterations | None = None,
        context: Context = _NO_CONTEXT,
        max_tokens: Tokens | None = None,
        deadline_ms: DeadlineMs | None = None,
        documents: Documents = [],  # noqa: B006 - never changed; the request type needs a value
        namespace: Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_.-]{1,64}$")] = "default",
        data_class: Literal["general", "personal"] = "personal",
    ) -> Iterated:
        """Let a model make an artifact until it passes its validator; what does not pass never comes out.

        Each try sees the prompt, the documents and what was wrong with the last try, never more. An accepted fill is
        recorded: its people are booked. Every call leaves one row in the session log.

        Args:
            artifact: What is to be made.
            prompt: What is wanted, in the caller's words; include the people to choose from, with their ids.
            model: As for `chat.complete`.
            max_iterations: Most tries; `validatord.max_iterations` by default.
            context: As for `validate.check`.
            max_tokens: Completion tokens of all tries together; `validatord.max_tokens` by default.
            deadline_ms: Time for all tries together; `validatord.deadline_ms` by default.
            documents: Texts of others, such as resumes and emails, given to the model as data.
            namespace: Whose chat budget it is.
            data_class: As for `chat.complete`; personal unless the caller says otherwise.

        Raises:
            ValidationFailed: No try passed (`detail.status` is `max_iter_exhausted`).
            Upstream: The model or the roster failed, or the roster is gone since (`detail.status` is `infra_error`).
                Both have `detail.attempts` and `detail.session_id`.
            NotFound, PermissionDenied, InvalidInput: The model's provider is not registered or may not see the data, or
                the roster does not exist; no model was asked.
        """
        session_id = tracing.current() or tracing.new_id()
        budget = _Budget(max_tokens or self._config.max_tokens, deadline_ms or self._config.deadline_ms)
        first = prompts.first(artifact, prompt, documents, mark=secrets.token_hex(8))
        ask = Ask(
            model=model,
            turns=first,
            schema=prompts.shape_of(artifact),
            max_tokens=budget.tokens,
            timeout_ms=1,
            namespace=namespace,
            data_class=data_class,
        )
        session = Session(
            session_id=session_id,
            time="",
            kind=artifact,
            model=model,
            status="max_iter_exhausted",
            attempts=[],
            prompt=prompt,
            namespace=namespace,
        )
        most = max_iterations or self._config.max_iterations
        return self._loop(_Run(session, context, budget), ask, most)

    def _loop(self, run: _Run, ask: Ask, most: int) -> Iterated:
        turns = ask.turns
        for n in range(1, most + 1):
            if run.budget.tokens < 1:
                run.attempts.append(Attempt(n=n, verdict="validation_failed", error="the token budget is used up"))
                break
            try:
                attempt, passed, again = self._attempted(run, n, msgspec.structs.replace(ask, turns=turns))
            except LakehouseError as error:
                if isinstance(error, _CALLERS) and not run.answered:
                    raise
                raise self._broken(run, n, error) from None
            except Exception:
                # A fault of ours is no answer either, and is in the log like every other end.
                run.attempts.append(Attempt(n=n, verdict="infra_error", error="something went wrong inside"))
                self._end(run, "infra_error")
                raise
            run.attempts.append(attempt)
            if passed is not None:
                return self._accepted(run, passed)
            if not again:
                break
            turns = prompts.repair(ask.turns, attempt.error or "")
        self._end(run, "max_iter_exhausted")
        last = run.attempts[-1].error if run.attempts else ""
        raise ValidationFailed(
            f"no try of {len(run.attempts)} passed; the last one: {last}", **run.detail("max_iter_exhausted")
        )

    def _attempted(self, run: _Run, n: int, ask: Ask) -> tuple[Attempt, _Passed | None, bool]:
        """Make one try, under a span of its own; returns as `_judged`."""
        # No model is asked for what could not be judged.
        self._validators.find_roster(run.session.kind, run.context)
        with tracing.span(f"iterate.attempt[{n}]", n=n, verdict="infra_error") as span:
            span.put(input=ask.turns)
            timeout = run.budget.left_ms()
            answer = self._complete(msgspec.structs.replace(ask, max_tokens=run.budget.tokens, timeout_ms=timeout))
            span.put(output=answer.content)
            run.provider, run.answered = answer.provider, True
            # Where the provider does not count: a token has about four characters.
            run.budget.tokens -= answer.completion_tokens or -(-len(answer.content) // 4)
            attempt, passed, again = self._judged(run, n, answer)
            span.set(verdict=attempt.verdict, codes=attempt.codes)
            span.put(reason=attempt.error or "")
            return attempt, passed, again

    def _judged(self, run: _Run, n: int, answer: Reply) -> tuple[Attempt, _Passed | None, bool]:
        """Return the try, what passed of it, and whether another one can help."""
        kind = run.session.kind
        tried = Attempt(
            n=n,
            verdict="no_json",
            prompt_tokens=answer.prompt_tokens,
            completion_tokens=answer.completion_tokens,
            latency_ms=answer.latency_ms,
        )
        candidate = extract_json(answer.content)
        if candidate is None:
            cut = " (it was cut off: finish_reason is length)" if answer.finish_reason == "length" else ""
            error = f"the answer holds no whole JSON object{cut}"
            return msgspec.structs.replace(tried, error=error), None, True
        checked = self._validators.examine(kind, candidate, run.context)
        errors = [finding for finding in checked.findings if finding.severity == "error"]
        grounded = None if errors else self._validators.grounded(kind, candidate, run.context)
        if grounded is False:
            reason = "the roster changed: somebody in the fill is not in it any more"
            errors = [consistency("phantom_worker", "workers", reason)]
        if errors:
            return _refused(tried, errors)
        try:
            booked = self._booked(run, checked)
        except ValidationFailed as late:
            return _refused(tried, msgspec.convert(late.detail["findings"], list[Finding]))
        accepted = msgspec.structs.replace(tried, verdict="accepted")
        return accepted, _Passed(candidate, checked, grounded, booked), False

    def _booked(self, run: _Run, checked: Checked) -> Accepted | None:
        if run.session.kind != "fill":
            return None
        return self._validators.book(checked, run.context, session_id=run.session.session_id)

    def _accepted(self, run: _Run, passed: _Passed) -> Iterated:
        people = passed.checked.people
        self._end(
            run,
            "accepted",
            artifact=passed.artifact,
            grounded_in_roster=passed.grounded,
            roster=people.roster if people else "",
            snapshot_id=people.snapshot_id if people else "",
            fill_id=passed.booked.fill_id if passed.booked else "",
        )
        return Iterated(
            artifact=passed.artifact,
            attempts=run.attempts,
            session_id=run.session.session_id,
            grounded_in_roster=passed.grounded,
            findings=passed.checked.findings,
            fill_id=passed.booked.fill_id if passed.booked else "",
        )

    def _broken(self, run: _Run, n: int, error: LakehouseError) -> Upstream:
        run.attempts.append(Attempt(n=n, verdict="infra_error", error=error.message))
        self._end(run, "infra_error")
        kind = UpstreamRefused if isinstance(error, UpstreamRefused) else Upstream
        return kind(f"try {n} could not be made: {error.message}", **run.detail("infra_error"), cause=error.code)

    def _end(self, run: _Run, status: Status, **more: Any) -> None:
        self._log.append(
            msgspec.structs.replace(
                run.session,
                time=self._clock().astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
                status=status,
                attempts=run.attempts,
                provider=run.provider,
                **more,
            )
        )


class _Run:
    """One iterate under way."""

    def __init__(self, session: Session, context: Context, budget: _Budget) -> None:
        self.session = session
        self.context = context
        self.budget = budget
        self.attempts: list[Attempt] = []
        self.provider = ""
        self.answered = False

    def detail(self, status: Status) -> dict[str, Any]:
        return {
            "status": status,
            "attempts": msgspec.to_builtins(self.attempts),
            "session_id": self.session.session_id,
            "grounded_in_roster": None,
        }


def _refused(tried: Attempt, errors: Sequence[Finding]) -> tuple[Attempt, None, bool]:
    shown = "; ".join(f"{finding.variant}: {finding.reason}" for finding in errors[:_SHOWN_FINDINGS])
    more = f"; and {len(errors) - _SHOWN_FINDINGS} more" if len(errors) > _SHOWN_FINDINGS else ""
    codes = list(dict.fromkeys(finding.code for finding in errors))
    attempt = msgspec.structs.replace(tried, verdict="validation_failed", error=shown + more, codes=codes)
    return attempt, None, any(finding.retryable for finding in errors)
