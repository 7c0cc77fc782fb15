"""Learning as a service: logs to evidence, evidence to verdicts and training data, replays, drift, the full audit."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import msgspec

import lakehouse
from lakehouse import caller, progress
from lakehouse.errors import InvalidInput, NotFound
from lakehouse.learn.audit.base import AuditReport, Lake, Rooms
from lakehouse.learn.base import Materialized, Scoring
from lakehouse.learn.drift import DriftReport
from lakehouse.learn.replay import Replayed, Replays
from lakehouse.learn.sft import SftExport
from lakehouse.learn.tables import EVIDENCE, FOLDER, SCORED, SFT, learnt_logs
from lakehouse.ledger.rows import Event
from lakehouse.matrix.past import Past
from lakehouse.staffing import worker

if TYPE_CHECKING:
    from lakehouse import settings
    from lakehouse.learn.firewall import Firewall
    from lakehouse.matrix.base import Corpus, Match
    from lakehouse.memory.asks import Asks
    from lakehouse.state.log import Log
    from lakehouse.validate.base import Context
    from lakehouse.validate.iterate import Ask, Reply

_LONGEST_LINE = 4_000

Day = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2})?$")]
Task = Annotated[str, msgspec.Meta(max_length=32_000)]
Many = Annotated[int, msgspec.Meta(ge=1, le=100)]
PhaseNumber = Annotated[int, msgspec.Meta(ge=1, le=12)]
Text = Annotated[str, msgspec.Meta(max_length=200_000)]


class Learn:
    """What the logs teach. Thread-safe; runs that write take turns.

    Args:
        config: All settings.
        rooms: The rooms of the lake.
        folder: Of the lake.
        asks: Understands the texts of replays.
        complete: Asks a model.
        clock: The time, with its zone.
        new_id: Makes an id.
    """

    def __init__(
        self,
        config: settings.Settings,
        rooms: Rooms,
        *,
        folder: Path,
        asks: Asks,
        complete: Callable[[Ask], Reply],
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        self._config = config.learn
        self._rooms = rooms
        self._lake = folder
        named = config.validatord.session_log_path
        self.logs: Mapping[str, Path] = learnt_logs(folder, folder / named if named else None)
        self.evidence = self._lake / FOLDER / EVIDENCE
        self.scored = self._lake / FOLDER / SCORED
        self.sft = self._lake / FOLDER / SFT
        self._past = Past(
            config,
            catalog=rooms.catalog,
            corpora=rooms.corpora,
            embed=rooms.embed,
            asks=asks,
            playbooks=rooms.playbooks,
            parser=rooms.demand,
            today=lambda: clock().date(),
        )
        self._replay_log: Log | None = None
        self._replays = Replays(
            search=self._searched,
            complete=complete,
            refusals=self._refusals,
            write=self._write_replay,
            clock=clock,
            new_id=new_id,
        )
        self._has_holdout = config.matrix.holdout > 0
        self._clock = clock
        self._writing = threading.RLock()
        self._receipts: Log | None = None

    def materialize(self) -> Materialized:
        """Read what is new in the logs into evidence records, partitioned by day.

        Each line is read once, however often this is called or interrupted; a run over nothing new changes nothing.
        Lines that are not what their log writes are listed beside the evidence and passed over.

        Raises:
            PermissionDenied, Unavailable: The disk refused; the next call goes on from there.
        """
        from lakehouse.learn.materialize import materialize

        told = progress.stage("materializing")
        self._rooms.observer.flush()
        with self._writing:
            done = materialize(self.evidence, self.logs, lake=self._lake, progress=lambda lines: told(lines, lines))
            if done.lines:
                self._note(done)
        return done

    def score(self) -> Scoring:
        """Judge the evidence that is new: accepted, partially accepted, rejected, or for a human.

        Every verdict names the rule that decided and the version of the rules. When the rules have changed, everything
        is judged anew.

        Raises:
            IntegrityError: A row of the evidence cannot be read.
            PermissionDenied, Unavailable: The disk refused; the next call goes on from there.
        """
        from lakehouse.learn.score import score

        with self._writing:
            return score(self.evidence, self.scored)

    def export_sft(
        self,
        evaluation_texts: list[Text] = [],  # noqa: B006 - never changed; the request type needs a value
        validation_share: Annotated[float, msgspec.Meta(ge=0, le=0.5)] | None = None,
    ) -> SftExport:
        """Write training data from accepted evidence, as chat messages and as instructions, JSONL and Parquet.

        Brings evidence and verdicts up to date first. Never exported: held-out demands, evaluation sets, rejected and
        needs-human records, labels that only a judge gave, erased people, personal data. The same rows give the same
        export, which is then not written again.

        Args:
            evaluation_texts: Further texts that must not be learnt, beside the files of `learn.evaluation_sets`.
            validation_share: Of the groups of lineage; `learn.validation_share` by default.

        Raises:
            NotFound: A file of `learn.evaluation_sets` does not exist.
            IntegrityError: A row of the evidence cannot be read.
            PermissionDenied, Unavailable: The disk refused; no export appeared.
        """
        from lakehouse.learn import sft

        with self._writing:
            self.materialize()
            self.score()
            return sft.export(
                self.sft,
                evidence=self.evidence,
                scored=self.scored,
                lake=self._lake,
                firewall=self.firewall(evaluation_texts),
                near_duplicate=self._config.near_duplicate,
                validation_share=self._config.validation_share if validation_share is None else validation_share,
            )

    def replay(
        self,
        task: Task = "",
        corpora: list[str] = [],  # noqa: B006 - never changed; the request type needs a value
        snapshots: dict[str, int] = {},  # noqa: B006
        session_id: str = "",
        k: Many = 10,
        model: str = "",
    ) -> Replayed:
        """Do a task again, against the lake as it was and as it is, and log both answers side by side.

        Memory does not act on either side, so that what differs is the people. Where a model is named, it proposes a
        fill on each side, and the validator says whether it passes.

        Args:
            task: The ask; that of the session when empty.
            corpora: Where to search; all when empty.
            snapshots: Snapshot of its dataset by corpus or dataset, from `catalog.snapshots`; the oldest there is for
                those not named.
            session_id: An iterate of the log of sessions, whose prompt and snapshot are taken.
            k: Most results.
            model: As for `chat.complete`; none when empty.

        Raises:
            InvalidInput: There is neither a task nor a session, or no corpus.
            NotFound: The session, a corpus or a snapshot does not exist (any more).
            PermissionDenied, Unavailable: The run could not be logged.
        """
        defined = {corpus.name: corpus for corpus in self._rooms.corpora.defined()}
        of_session: dict[str, int] = {}
        if session_id:
            prompt, of_session = self._session(session_id, defined)
            task, snapshots = task or prompt, {**of_session, **snapshots}
        if not task.strip():
            raise InvalidInput("there is nothing to do again; give 'task' or 'session_id'", field="task")
        names = corpora or list(of_session or defined)
        missing = [name for name in names if name not in defined]
        if missing or not names:
            known = ", ".join(defined) or "none"
            raise NotFound(f"there is no corpus {missing[0] if missing else ''!r}; known: {known}", corpora=names)
        usable = {name for corpus in names for name in (corpus, defined[corpus].dataset)}
        for name in snapshots:
            if name not in usable and name not in of_session:
                raise NotFound(
                    f"'snapshots' names {name!r}, which is neither a corpus that is searched nor its dataset; there"
                    f" are: {', '.join(sorted(usable))}",
                    field="snapshots",
                )
        was, now = {}, {}
        for name in names:
            now[name] = int(defined[name].snapshot_id)
            was[name] = snapshots.get(name, snapshots.get(defined[name].dataset, self._oldest(defined[name])))
        return self._replays.run(task, was, now, k=k, model=model)

    def drift(self, since: Day = "") -> DriftReport:
        """Compare the evidence from a day on with what was before, and old verdicts with those of the rules now.

        Args:
            since: First day of the newer side, `2026-01-31`; the newest day of the evidence when empty.

        Raises:
            NotFound: There is no evidence yet.
            IntegrityError: A row cannot be read.
        """
        from lakehouse.learn import drift

        return drift.report(self.evidence, self.scored, since=since)

    def audit_full(
        self,
        append_baseline: bool = False,
        phases: list[PhaseNumber] = [],  # noqa: B006 - never changed; the request type needs a value
    ) -> AuditReport:
        """Look through the whole lake in twelve phases, each with metrics, a verdict and how to mend what it found.

        Args:
            append_baseline: Add what was found to `logs/audit_baselines.jsonl`.
            phases: Only these numbers, 1 to 12; all when empty.

        Raises:
            PermissionDenied, Unavailable: The baseline could not be written.
        """
        from lakehouse.learn.audit.run import run

        return run(
            Lake(folder=self._lake, rooms=self._rooms, learning=self),
            clock=self._clock,
            append_baseline=append_baseline,
            version=lakehouse.__version__,
            phases=phases,
        )

    def firewall(self, evaluation_texts: Iterable[str] = ()) -> Firewall:
        """Return what stands between evidence and training data, as of now."""
        from lakehouse.learn.firewall import Firewall, People

        return Firewall(
            held_out=self._is_held_out,
            evaluation=[*self._evaluation_sets(), *evaluation_texts],
            erased=self._rooms.subjects.erased(),
            people=People(self._personal_values()),
        )

    def close(self) -> None:
        """Close the logs of this room; idempotent."""
        with self._writing:
            opened = (self._receipts, self._replay_log)
            self._receipts = self._replay_log = None
        for log in opened:
            if log is not None:
                log.close()

    def _searched(self, task: str, snapshots: Mapping[str, int], k: int) -> Sequence[Match]:
        """Find people in corpora at snapshots, and note in the ledger who was seen."""
        now = {corpus.name: int(corpus.snapshot_id) for corpus in self._rooms.corpora.defined()}
        if all(now.get(name) == snapshot for name, snapshot in snapshots.items()):
            answer = self._rooms.matrix.search(task, list(snapshots), k=k)
        else:
            answer = self._past.search(task, snapshots, k)
        purpose = caller.current().purpose
        self._rooms.ledger.record(
            [
                Event(subject=hit.id, action="replay", purpose=purpose, fields=(), result="shown")
                for hit in answer.results
            ]
        )
        return answer.results

    def _refusals(self, answer: Any, context: Context) -> list[str]:
        checked = self._rooms.validate.examine("fill", answer, context)
        return [finding.reason for finding in checked.findings if finding.severity == "error"]

    def _write_replay(self, rows: Sequence[bytes]) -> None:
        from lakehouse.state.log import Log

        with self._writing:
            self._replay_log = self._replay_log or Log(self.logs["replay_runs"])
            self._replay_log.write(rows)

    def _is_held_out(self, text: str) -> bool:
        """Tell whether a text is, or holds a line that is, a demand kept from memory."""
        if not self._has_holdout:
            return False
        lines = [text, *(line for line in text.splitlines() if self._rooms.demand.parse(line[:_LONGEST_LINE]).role)]
        return any(map(self._rooms.playbooks.held_out, lines))

    def _note(self, done: Materialized) -> None:
        from lakehouse.state.log import Log

        self._receipts = self._receipts or Log(self._lake / FOLDER / "receipts.jsonl")
        row = {"schema": "evidence_receipt.v1", "time": self._clock().isoformat(), **msgspec.to_builtins(done)}
        self._receipts.write([msgspec.json.encode(row)])

    def _session(self, session_id: str, defined: Mapping[str, Corpus]) -> tuple[str, dict[str, int]]:
        quoted = session_id.replace("'", "''")
        rows = self._rooms.sql.query(
            f"SELECT prompt, roster, snapshot_id FROM sessions WHERE session_id = '{quoted}' LIMIT 1"  # noqa: S608 # nosec B608
        ).rows
        if not rows:
            raise NotFound(
                f"no session has the id {session_id!r}; see the table `sessions` in SQL",
                session_id=session_id,
            )
        prompt, roster, snapshot = rows[0]
        if not snapshot:
            return prompt, {}
        names = [roster] if roster in defined else [each.name for each in defined.values() if each.dataset == roster]
        return prompt, {name: int(snapshot) for name in names}

    def _oldest(self, corpus: Corpus) -> int:
        kept = self._rooms.catalog.snapshots(corpus.dataset).snapshots
        return min(kept, key=lambda each: each.at).snapshot_id

    def _evaluation_sets(self) -> Iterator[str]:
        for name in self._config.evaluation_sets:
            path = self._lake / name
            if not path.is_file():
                raise NotFound(f"learn.evaluation_sets names {path}, which does not exist", path=str(path))
            for line in path.read_text("utf-8").splitlines():
                yield from _texts(line)

    def _personal_values(self) -> Iterator[tuple[str, str]]:
        for manifest in self._rooms.catalog.datasets().datasets:
            columns = [column.name for column in manifest.schema if worker.is_personal(column.name)]
            if not columns:
                continue
            for batch in self._rooms.catalog.scan(manifest.name, columns=columns):
                for column in columns:
                    yield from ((column, str(value)) for value in batch.column(column).to_pylist() if value)


def _texts(line: str) -> Iterator[str]:
    """Yield the texts of a line of an evaluation set: those of a JSON object, or the line itself."""
    try:
        found = msgspec.json.decode(line)
    except ValueError:
        found = line
    waiting: list[Any] = [found]
    while waiting:
        value = waiting.pop()
        if isinstance(value, str):
            yield value
        elif isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
