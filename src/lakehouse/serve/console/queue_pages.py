"""The work queue: what clients wrote, most urgent first, and the way from each demand to its people."""

from __future__ import annotations

import contextlib
import functools
import re
from urllib.parse import quote

import msgspec
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakehouse.demands.base import OpenDemand, Opened, RefusedLine
from lakehouse.demands.lines import COLUMNS
from lakehouse.errors import Conflict, InvalidInput, LakehouseError, TooLarge
from lakehouse.observe.inbox import excerpts
from lakehouse.observe.messages import Message, Summary
from lakehouse.serve.console import csrf, security
from lakehouse.serve.console import form as forms
from lakehouse.serve.console.form import Form
from lakehouse.serve.console.site import COOKIE, Pages, Sent, View, asked, posted, remember, sent_on
from lakehouse.serve.console.words import counted
from lakehouse.staffing.demand import Demand
from lakehouse.staffing.need import fields_of

_PRIORITIES = ("urgent", "high", "medium", "low")
_KINDS = ("demand", "amend", "cancel", "other")
_MOST = 200
_MOST_FILE_BYTES = 8 * 1024 * 1024


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """One demand of a message: the words that ask for it, and what was read from them."""

    text: str
    says: str
    count: int


class QueueView(View, kw_only=True):
    """What the page shows.

    Attributes:
        demands: Open ones, more urgent first, then by start; of `owner` alone when there is one.
        lines: Of a CSV, those that opened nothing.
        messages: Open ones, more urgent before less urgent, then newest first; `settled`, those cancelled.
        opened: One message with its demands as `parts`.
        body: What was pasted, kept when it was refused.
        only: Id of the one demand that was opened, which is then shown instead of the queue.
    """

    demands: list[OpenDemand] = msgspec.field(default_factory=list)
    owners: list[str] = msgspec.field(default_factory=list)
    owner: str = ""
    lines: list[RefusedLine] = msgspec.field(default_factory=list)
    messages: list[Summary] = msgspec.field(default_factory=list)
    settled: list[Summary] = msgspec.field(default_factory=list)
    opened: Message | None = None
    parts: list[Part] = msgspec.field(default_factory=list)
    kind: str = ""
    body: str = ""
    only: str = ""
    sender: str = ""
    subject: str = ""
    priority: str = "medium"
    priorities: tuple[str, ...] = _PRIORITIES
    kinds: tuple[str, ...] = _KINDS


class QueuePages(Pages):
    """The pages below `/queue`."""

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/queue", self.open, methods=["GET"]),
            Route("/queue", self.paste, methods=["POST"]),
            Route("/queue/files", self.drop, methods=["POST"]),
            Route("/queue/open", self.keep, methods=["POST"]),
            Route("/queue/demands", self.straight, methods=["POST"]),
        ]

    async def open(self, request: Request) -> Response:
        """Show the queue, one message closer when the address names it."""
        wanted = asked(request)
        view = QueueView(kind=wanted.one("kind"), owner=wanted.one("owner"))
        return await self._site.show(request, "queue.html", view, functools.partial(self._fill, wanted.one("message")))

    async def paste(self, request: Request) -> Response:
        """Take a pasted message in."""
        view = QueueView()
        try:
            sent = await self._site.sent(request)
        except LakehouseError as error:
            view.trouble, sent = error, Sent({})
        view.body, view.sender, view.subject = sent.one("body"), sent.one("sender"), sent.one("subject")
        view.priority = sent.one("priority", "medium")
        me = request.cookies.get(COOKIE, "")
        fill = functools.partial(self._pasted, me, keep="keep" in sent)
        return await self._site.show(request, "queue.html", view, fill)

    async def drop(self, request: Request) -> Response:
        """Take a mail file in."""
        view = QueueView()
        name, data, keep = "", b"", False
        try:
            security.require_same_origin(request)
            name, data, keep = await _file(request)
        except LakehouseError as error:
            view.trouble = error
        me = request.cookies.get(COOKIE, "")
        fill = functools.partial(self._dropped, me, name, data, keep=keep)
        return await self._site.show(request, "queue.html", view, fill)

    async def keep(self, request: Request) -> Response:
        """Open the demands of a message, and lead to the first of them."""
        view = QueueView()
        try:
            sent = await self._site.sent(request)
            message = sent.one("message")
            done = await run_in_threadpool(self._opened, message, request.cookies.get(COOKIE, ""))
        except LakehouseError as error:
            view.trouble = error
            return await self._site.show(request, "queue.html", view, functools.partial(self._fill, ""))
        return sent_on(f"/queue/demands/{quote([*done.created, *done.known][0], safe='')}")

    async def straight(self, request: Request) -> Response:
        """Open what the page of a demand has in its box: a line, an email or a CSV, with the fields corrected there."""
        view = QueueView()
        try:
            form = forms.decode(await posted(request))
        except LakehouseError as error:
            view.trouble, form = error, Form()
        view.body = form.text
        answer = await self._site.show(request, "queue.html", view, functools.partial(self._straight, form))
        if view.trouble is None:
            answer = sent_on(f"/queue/demands/{quote(view.only, safe='')}") if view.only else answer
            remember(answer, form.coordinator.strip())
        return answer

    def _straight(self, form: Form, view: QueueView) -> None:
        if view.trouble is None:
            try:
                self._open_text(form, view)
            except LakehouseError as error:
                view.trouble = error
        if not view.only:
            self._fill("", view)

    def _open_text(self, form: Form, view: QueueView) -> None:
        demands, me = self._site.lake.demands, form.coordinator.strip()
        namespace = form.namespace()
        if is_csv(form.text):
            self._take_lines(me, form.text.encode("utf-8", "replace"), view)
            return
        if not form.text.strip():
            raise InvalidInput("The box was empty. Paste what the client wrote.", field="body")
        done = demands.open(text=form.text, owner=me, namespace=namespace)
        view.body = ""
        if len(done.created) == 1:
            view.only = done.created[0]
            typed = form.fields if form.fields_are_of_text else None
            if typed and typed != fields_of(demands.get(view.only).demand):
                demands.edit(view.only, fields=typed)
        else:
            view.notice = f"{len(done.created)} demands are open."

    def _opened(self, message: str, me: str) -> Opened:
        namespace = Form(coordinator=me).namespace()
        return self._site.lake.demands.open(message=message, owner=me, namespace=namespace)

    def _pasted(self, me: str, view: QueueView, *, keep: bool = False) -> None:
        opened = ""
        if view.trouble is None and is_csv(view.body):
            self._take_lines(me, view.body.encode("utf-8", "replace"), view)
        elif view.trouble is None:
            try:
                receipt = self._site.lake.inbox.receive(
                    type="email",
                    body=view.body,
                    sender=view.sender,
                    subject=view.subject,
                    priority=view.priority if view.priority in _PRIORITIES else "",  # type: ignore[arg-type]
                )
            except LakehouseError as error:
                view.trouble = error
            else:
                opened, view.body = receipt.id, ""
                view.notice = "Taken into the queue."
                if keep:
                    self._kept(opened, me, view)
        self._fill(opened, view)

    def _kept(self, message: str, me: str, view: QueueView) -> None:
        try:
            done = self._opened(message, me)
        except LakehouseError as error:
            # The message is taken in all the same.
            view.notice += f" No demand was opened: {error.message}."
        else:
            view.notice += f" {len(done.created)} demands are open." if len(done.created) != 1 else " A demand is open."

    def _take_lines(self, me: str, data: bytes, view: QueueView) -> None:
        try:
            done = self._site.lake.demands.file(data, owner=me, namespace=Form(coordinator=me).namespace())
        except LakehouseError as error:
            view.trouble = error
            return
        view.lines, view.body = done.refused, ""
        view.notice = f"{counted(len(done.created), 'demand')} opened{_known(len(done.known))}."

    def _dropped(self, me: str, name: str, data: bytes, view: QueueView, *, keep: bool = False) -> None:
        if view.trouble is None and name.casefold().endswith(".csv"):
            self._take_lines(me, data, view)
        elif view.trouble is None:
            try:
                taken = self._site.lake.inbox.file(data)
            except LakehouseError as error:
                view.trouble = error
            else:
                refused = "".join(f" Message {one.position} was refused: {one.reason}." for one in taken.refused[:5])
                opened = self._open_all(taken.created, me) if keep else ""
                view.notice = f"{len(taken.created)} new in the queue{_known(taken.known)}.{opened}{refused}"
        self._fill("", view)

    def _open_all(self, messages: list[str], me: str) -> str:
        """Open the demands of messages, those that ask for nobody aside, and tell how many there were."""
        opened = 0
        for message in messages:
            # What asks for nobody, or was cancelled by a later message of the same file, waits in the queue.
            with contextlib.suppress(InvalidInput, Conflict):
                opened += len(self._opened(message, me).created)
        return f" {opened} {'demand is' if opened == 1 else 'demands are'} open."

    def _fill(self, opened: str, view: QueueView) -> None:
        lake = self._site.lake
        every = lake.demands.list().demands
        view.owners = sorted({one.owner for one in every if one.owner})
        view.demands = [one for one in every if not view.owner or one.owner == view.owner]
        kind = view.kind if view.kind in _KINDS else None
        found = lake.inbox.list(kind=kind, limit=_MOST).messages  # type: ignore[arg-type]
        rank = {name: at for at, name in enumerate(_PRIORITIES)}
        # Sorting is stable: within a priority the newest stay first.
        found = sorted(found, key=lambda one: rank.get(one.priority, 2))
        view.messages = [one for one in found if one.status != "cancelled"]
        view.settled = [one for one in found if one.status == "cancelled"]
        if opened:
            view.opened = lake.inbox.get(opened)
            view.parts = _parts(view.opened)


def _known(count: int) -> str:
    return f", {count:,} {'was' if count == 1 else 'were'} here already" if count else ""


def _parts(message: Message) -> list[Part]:
    texts = excerpts(message.body, message.demands)
    return [
        Part(text=text, count=demand.count, says=_says(demand))
        for text, demand in zip(texts, message.demands, strict=True)
    ]


def _says(demand: Demand) -> str:
    place = demand.location
    said = [
        demand.role or "",
        ", ".join(filter(None, (place.city, place.state))) if place else "",
        f"{demand.shift} shift" if demand.shift else "",
        ", ".join(demand.certs),
        f"from {demand.start}" if demand.start else "",
        f"for {demand.client}" if demand.client else "",
    ]
    return " · ".join(filter(None, said))


async def _file(request: Request) -> tuple[str, bytes, bool]:
    async with request.form(max_files=1, max_fields=4) as form:
        csrf.require(request, form.get(csrf.FIELD))
        upload, keep = form.get("file"), "keep" in form
        if not isinstance(upload, UploadFile) or not upload.filename:
            raise InvalidInput(
                "Choose a mail file (.eml with one message, .mbox with any number) or a .csv of demands.", field="file"
            )
        data = await upload.read(_MOST_FILE_BYTES + 1)
    if len(data) > _MOST_FILE_BYTES:
        raise TooLarge(
            "The file is over 8 MiB; `lakehouse inbox file` reads larger ones.", limit_bytes=_MOST_FILE_BYTES
        )
    return upload.filename, data, keep


def is_csv(text: str) -> bool:
    r"""Tell whether a pasted text is a CSV of demands: its first line names nothing but their columns.

    >>> is_csv("role,count,city\nWelder,2,Parma"), is_csv("Role: Welder, count 2")
    (True, False)
    """
    first, _, rest = text.strip().partition("\n")
    names = {name.strip().casefold() for name in re.split(r"[,;\t]", first)}
    return bool(rest) and names <= {*COLUMNS} and bool(names & {"demand", "role"})
