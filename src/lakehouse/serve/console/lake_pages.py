"""The lake as a coordinator sees it: what is in it, questions in SQL with a chart, files in with live progress."""

from __future__ import annotations

import csv
import functools
import io
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

import msgspec
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from lakehouse.errors import InvalidInput, LakehouseError, TooLarge
from lakehouse.lake.catalog import Manifest, Snapshot
from lakehouse.lake.ingest import Explanation
from lakehouse.lake.query import SqlResult
from lakehouse.matrix.base import Corpus
from lakehouse.serve.console import csrf, jobs, plot, security
from lakehouse.serve.console.jobs import Job, Jobs
from lakehouse.serve.console.site import Pages, Sent, Site, View, asked, sent_on

_SHOWN_ROWS = 200
_EXPORTED_ROWS = 100_000
_LONGEST_CELL = 300
_TIMEOUT_MS = 20_000
# Names that a file's own name becomes a dataset's by.
_NOT_IN_NAMES = re.compile(r"[^a-z0-9]+")


class LakeView(View, kw_only=True):
    """What the page shows.

    Attributes:
        chosen: The dataset looked at closer, and `snapshots`, its states.
        sql: The statement, and `result` what came of it, with a `chart` when it has the shape of one.
        explained: What an upload would become, when that was asked; `name` and `key` as typed.
    """

    datasets: list[Manifest] = msgspec.field(default_factory=list)
    corpora: list[Corpus] = msgspec.field(default_factory=list)
    jobs: list[Job] = msgspec.field(default_factory=list)
    chosen: Manifest | None = None
    snapshots: list[Snapshot] = msgspec.field(default_factory=list)
    sql: str = ""
    result: SqlResult | None = None
    chart: plot.Chart | None = None
    explained: Explanation | None = None
    file: str = ""
    name: str = ""
    key: str = ""

    @property
    def cells(self) -> list[list[str]]:
        """The result's values as text; a value that is not there is empty."""
        return [[_cell(value) for value in row] for row in self.result.rows] if self.result else []


class JobView(View, kw_only=True):
    """One job."""

    job: Job | None = None


class LakePages(Pages):
    """The pages below `/lake`.

    Args:
        site: What all pages share.
        most_bytes: Largest file that is taken.
    """

    def __init__(self, site: Site, *, most_bytes: int) -> None:
        super().__init__(site)
        self._most_bytes = most_bytes
        self._jobs = Jobs()

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/lake", self.open, methods=["GET"]),
            Route("/lake", self.ask, methods=["POST"]),
            Route("/lake/files", self.take, methods=["POST"]),
            Route("/lake/corpora", self.rebuild, methods=["POST"]),
            Route("/lake/jobs/{id}", self.look, methods=["GET"]),
            Route("/lake/jobs/{id}/events", self.follow, methods=["GET"]),
        ]

    async def open(self, request: Request) -> Response:
        """Show what is in the lake, one dataset closer when the address names it."""
        return await self._show(request, LakeView(), asked(request).one("dataset"))

    async def ask(self, request: Request) -> Response:
        """Run a statement."""
        view = LakeView()
        try:
            sent = await self._site.sent(request)
        except LakehouseError as error:
            view.trouble = error
            return await self._show(request, view)
        view.sql = sent.one("sql")
        if "export" in sent:
            return await self._export(request, view)
        return await self._show(request, view)

    async def take(self, request: Request) -> Response:
        """Take a file in, or tell what would become of it."""
        view = LakeView()
        try:
            security.require_same_origin(request)
            _check_length(request, self._most_bytes)
            async with request.form(max_files=1, max_fields=16) as form:
                csrf.require(request, form.get(csrf.FIELD))
                return await self._taken(request, view, form)
        except LakehouseError as error:
            view.trouble = error
            return await self._show(request, view)

    async def rebuild(self, request: Request) -> Response:
        """Build a corpus again from its dataset."""
        try:
            sent = await self._site.sent(request)
            job = self._jobs.start(
                f"Rebuild {sent.one('corpus')}", functools.partial(self._rebuilt, sent.one("corpus"))
            )
        except LakehouseError as error:
            return await self._show(request, LakeView(trouble=error))
        return sent_on(f"/lake/jobs/{job.id}")

    async def look(self, request: Request) -> Response:
        """Show how far a job is."""

        def fill(view: JobView) -> None:
            view.job = self._jobs.get(request.path_params["id"])
            view.trouble = view.job.error if view.job.ended else None

        return await self._site.show(request, "job.html", JobView(), fill)

    async def follow(self, request: Request) -> Response:
        """Tell the steps of a job as they happen (server-sent events)."""
        headers = {**security.HEADERS, "Cache-Control": "no-store"}
        try:
            job = self._jobs.get(request.path_params["id"])
        except LakehouseError as error:
            return Response(error.message, error.status, headers, "text/plain; charset=utf-8")
        return StreamingResponse(jobs.events(job), headers=headers, media_type="text/event-stream")

    async def _show(self, request: Request, view: LakeView, dataset: str = "") -> Response:
        return await self._site.show(request, "lake.html", view, functools.partial(self._fill, dataset))

    def _fill(self, dataset: str, view: LakeView) -> None:
        lake = self._site.lake
        view.jobs = [job for job in self._jobs.latest() if not job.ended]
        view.datasets = lake.catalog.datasets().datasets
        view.corpora = lake.corpora.list().corpora
        if dataset:
            view.chosen = lake.catalog.dataset(dataset)
            view.snapshots = lake.catalog.snapshots(dataset).snapshots
            view.sql = f"SELECT *\nFROM {dataset}\nLIMIT 20"
        elif view.sql and view.trouble is None:
            view.result = lake.sql.query(sql=view.sql, limit=_SHOWN_ROWS, timeout_ms=_TIMEOUT_MS)
            view.chart = plot.chart([column.name for column in view.result.columns], view.result.rows)

    async def _export(self, request: Request, view: LakeView) -> Response:
        from starlette.concurrency import run_in_threadpool

        try:
            result = await run_in_threadpool(
                self._site.lake.sql.query, sql=view.sql, limit=_EXPORTED_ROWS, timeout_ms=_TIMEOUT_MS
            )
        except LakehouseError as error:
            view.trouble = error
            return await self._show(request, view)
        headers = {
            **security.HEADERS,
            "Cache-Control": "no-store",
            "Content-Disposition": 'attachment; filename="result.csv"',
        }
        return Response(as_csv([column.name for column in result.columns], result.rows), 200, headers, "text/csv")

    async def _taken(self, request: Request, view: LakeView, form: FormData) -> Response:
        upload = form.get("file")
        sent = Sent({name: [value] for name, value in form.items() if isinstance(value, str)})
        view.name, view.key = sent.one("name"), sent.one("key")
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise InvalidInput("Choose a file: CSV, JSON Lines or Parquet, with or without gzip.", field="file")
        view.file = upload.filename
        view.name = view.name or dataset_name(upload.filename)
        if "explain" in sent:
            source = upload.file
            return await self._site.show(
                request, "lake.html", view, functools.partial(self._explain, source, upload.filename)
            )
        folder = tempfile.TemporaryDirectory(prefix="lakehouse-upload-")
        # Its ending says what it is; the rest of the name is nobody's business on this disk.
        kept = Path(folder.name) / ("upload" + "".join(Path(upload.filename).suffixes[-2:])[-24:])
        try:
            with kept.open("wb") as out:
                while chunk := await upload.read(1 << 20):
                    out.write(chunk)
            job = self._jobs.start(
                f"Take {upload.filename} in as {view.name}",
                functools.partial(self._ingested, kept, view.name, view.key, "quarantine" in sent),
                finally_=folder.cleanup,
            )
        except BaseException:
            folder.cleanup()
            raise
        return sent_on(f"/lake/jobs/{job.id}")

    def _explain(self, source: BinaryIO, file: str, view: LakeView) -> None:
        self._fill("", view)
        view.explained = self._site.lake.ingest.explain(
            source.read(), name=view.name, content_type=_media(file), key=view.key or None
        )

    def _ingested(self, path: Path, name: str, key: str, quarantine: bool) -> str:
        report = self._site.lake.ingest.file(path, name, key=key or None, quarantine=quarantine)
        if report.unchanged:
            return f"{report.dataset} holds these very bytes already; nothing was written."
        bad = f", {len(report.rejected):,} rows put aside in {name}_quarantine" if report.rejected else ""
        gone = f", {report.erased:,} of people who were erased left out" if report.erased else ""
        return f"{report.rows:,} rows are in {report.dataset}{bad}{gone}."

    def _rebuilt(self, name: str) -> str:
        corpus = next((one for one in self._site.lake.corpora.list().corpora if one.name == name), None)
        if corpus is None:
            raise InvalidInput(f"There is no corpus {name!r}.", field="corpus")
        report = self._site.lake.corpora.build(
            name=corpus.name,
            dataset=corpus.dataset,
            id_column=corpus.id_column,
            id_prefix=corpus.id_prefix,
            text_columns=corpus.text_columns,
            metadata_columns=corpus.metadata_columns,
        )
        return f"{report.items:,} people in {report.corpus}; {report.embedded:,} texts were new."


def dataset_name(file: str) -> str:
    """Return the name a dataset gets from its file's name.

    >>> dataset_name("My Roster (2026).csv.gz")
    'my_roster_2026'
    """
    stem = Path(file).name.casefold().split(".")[0]
    name = _NOT_IN_NAMES.sub("_", stem).strip("_")
    return (name if name[:1].isalpha() else f"data_{name}").strip("_")[:63]


def as_csv(columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Return rows as CSV. A text that a spreadsheet would run as a formula gets an apostrophe in front."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_inert(column) for column in columns])
    writer.writerows([[_inert(value) for value in row] for row in rows])
    return out.getvalue()


def _inert(value: object) -> object:
    if isinstance(value, str):
        return f"'{value}" if value[:1] in {"=", "+", "-", "@", "\t", "\r"} else value
    return value if value is None or isinstance(value, (int, float)) else msgspec.json.encode(value).decode()


def _cell(value: object) -> str:
    if value is None:
        return ""
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return text if len(text) <= _LONGEST_CELL else text[:_LONGEST_CELL] + "…"


def _media(file: str) -> str:
    name = file.casefold().removesuffix(".gz")
    known = {".csv": "text/csv", ".tsv": "text/csv", ".jsonl": "application/x-ndjson"}
    known |= {".ndjson": "application/x-ndjson", ".parquet": "application/vnd.apache.parquet"}
    return known.get(Path(name).suffix, "")


def _check_length(request: Request, most: int) -> None:
    """Refuse what is too large before it is read; a browser always says how much it sends."""
    given = request.headers.get("content-length", "")
    if not given.isdigit():
        raise InvalidInput(
            "The upload does not say how long it is; use a browser, or `lakehouse ingest`.", field="file"
        )
    if int(given) > most:
        raise TooLarge(
            f"The file is over {most:,} bytes, the limit of this server (server.max_ingest_bytes); `lakehouse ingest`"
            " reads files of any size.",
            limit_bytes=most,
            field="file",
        )
