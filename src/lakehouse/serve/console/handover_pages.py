"""Handing work over to another coordinator, and the packet that tells on paper how it stands."""

from __future__ import annotations

from typing import Literal, cast

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from lakehouse.demands.base import OpenDemand
from lakehouse.errors import InvalidInput, LakehouseError
from lakehouse.memory.base import ListedPlaybook
from lakehouse.serve.console.demand_view import GROUPS
from lakehouse.serve.console.outcomes import words_of
from lakehouse.serve.console.site import Pages, Sent, View, asked
from lakehouse.serve.console.words import counted, nothing_of
from lakehouse.staffing.folding import client_key

_MODES = ("share", "copy", "move")
_OF_A_CLIENT = _MODES[1:]
_MOST_LOOKED = 5_000
_MOST_ENTRIES = 20


class Who(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody on a demand as the packet tells it."""

    stage: str
    id: str
    name: str
    phone: str
    email: str
    why: str
    outcome: str


class Sheet(msgspec.Struct, frozen=True, kw_only=True):
    """One demand of the packet, with what memory holds for its role or client."""

    one: OpenDemand
    people: list[Who]
    entries: list[ListedPlaybook]


class HandoverView(View, kw_only=True):
    """What the pages show.

    Attributes:
        giver, receiver, client, mode, text: As typed.
        demands: What the giver has open, of `client` alone when there is one.
        clients: Of everything the giver has open.
        sheets: Of the packet.
    """

    giver: str = ""
    receiver: str = ""
    client: str = ""
    mode: str = "share"
    text: str = ""
    demands: list[OpenDemand] = msgspec.field(default_factory=list)
    clients: list[str] = msgspec.field(default_factory=list)
    owners: list[str] = msgspec.field(default_factory=list)
    sheets: list[Sheet] = msgspec.field(default_factory=list)
    done: bool = False

    @property
    def modes(self) -> tuple[str, ...]:
        """How memory can be handed over: of one client it cannot be shared."""
        return _OF_A_CLIENT if self.client else _MODES


class HandoverPages(Pages):
    """The pages below `/handover`."""

    def routes(self) -> list[Route]:
        """Return the routes of these pages."""
        return [
            Route("/handover", self.open, methods=["GET"]),
            Route("/handover", self.act, methods=["POST"]),
            Route("/handover/packet", self.packet, methods=["GET"]),
        ]

    async def open(self, request: Request) -> Response:
        """Show what somebody would hand over."""
        wanted = asked(request)
        view = HandoverView(giver=wanted.one("from"), client=wanted.one("client"))
        return await self._site.show(request, "handover.html", view, self._fill)

    async def act(self, request: Request) -> Response:
        """Hand over."""
        view = HandoverView()
        try:
            sent = await self._site.sent(request)
        except LakehouseError as error:
            view.trouble, sent = error, Sent({})
        view.giver, view.receiver = sent.one("from"), sent.one("to")
        view.client, view.mode, view.text = sent.one("client"), sent.one("mode", "share"), sent.one("text")
        return await self._site.show(request, "handover.html", view, self._hand)

    async def packet(self, request: Request) -> Response:
        """Show one demand, or all that somebody has, as it is printed."""
        wanted = asked(request)
        view = HandoverView(giver=wanted.one("from"), client=wanted.one("client"))
        id = wanted.one("demand")

        def fill(view: HandoverView) -> None:
            lake = self._site.lake
            if not id:
                self._fill(view)
            ids = [id] if id else [one.id for one in view.demands]
            view.sheets = [self._sheet(lake.demands.get(each)) for each in ids]

        return await self._site.show(request, "packet.html", view, fill)

    def _fill(self, view: HandoverView) -> None:
        every = self._site.lake.demands.list().demands
        view.owners = sorted({one.owner for one in every if one.owner})
        mine = [one for one in every if view.giver and one.owner == view.giver]
        # One client under two spellings is one; of those that were written the first in order is shown.
        names = sorted((one.demand.client for one in mine if one.demand.client), reverse=True)
        view.clients = sorted({client_key(name): name for name in names}.values())
        wanted = client_key(view.client)
        view.demands = [one for one in mine if not view.client or client_key(one.demand.client) == wanted]

    def _hand(self, view: HandoverView) -> None:
        if view.trouble is None:
            try:
                self._handed(view)
            except LakehouseError as error:
                view.trouble = error
        if not view.done:
            self._fill(view)

    def _handed(self, view: HandoverView) -> None:
        if view.mode not in view.modes:
            raise InvalidInput(f"Choose how the memory is handed over: {', '.join(view.modes)}.", field="mode")
        if not view.receiver or view.receiver == view.giver:
            raise InvalidInput("Say who receives the work; somebody else than who has it.", field="to")
        self._fill(view)
        if not view.demands:
            raise InvalidInput(f"{view.giver or 'Nobody'} has no open demand to hand over.", field="from")
        lake = self._site.lake
        # Memory first: a name that cannot have one is refused before anything has moved.
        mode = cast(Literal["share", "copy", "move"], view.mode)
        handed = lake.playbooks.handover(from_=view.giver, to=view.receiver, mode=mode, client=view.client)
        for one in view.demands:
            namespace = view.receiver if one.namespace == view.giver else None
            lake.demands.edit(one.id, owner=view.receiver, namespace=namespace)
            said = f"Handed over by {view.giver} to {view.receiver}.{f' {view.text}' if view.text else ''}"
            lake.demands.note(one.id, text=said, by=view.giver)
        view.done = True
        view.notice = f"{view.receiver} now has {counted(len(view.demands), 'open demand')} of {view.giver}"
        if view.client and not handed.held:
            view.notice += f". {nothing_of(view.giver, view.client, handed.clients_like)}"
        else:
            view.notice += (
                f", and {counted(handed.entries, 'entry', 'entries')} of"
                f" memory{f' of {view.client}' if view.client else ''} they did not have."
            )

    def _sheet(self, one: OpenDemand) -> Sheet:
        lake = self._site.lake
        rows = {person.id: person.metadata for person in lake.demands.people(one.id).items}
        names = dict(GROUPS)
        order = [stage for stage, _ in GROUPS]
        people = [
            Who(
                stage=names[each.stage],
                id=each.id,
                name=str(rows[each.id].get("name") or ""),
                phone=str(rows[each.id].get("phone") or ""),
                email=str(rows[each.id].get("email") or ""),
                why=each.why,
                outcome=words_of(each.outcome) if each.outcome else "",
            )
            for each in sorted(one.people, key=lambda each: order.index(each.stage))
        ]
        known = lake.playbooks.list(one.namespace, limit=_MOST_LOOKED).entries
        client = one.demand.client
        entries = [
            entry
            for entry in known
            if (one.demand.role and entry.role == one.demand.role) or (client and entry.client == client_key(client))
        ]
        return Sheet(one=one, people=people, entries=entries[:_MOST_ENTRIES])
