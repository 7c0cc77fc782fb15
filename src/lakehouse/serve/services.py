"""The services of one stack: their names, what each of them owns, the port each has when run alone."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from lakehouse.errors import InvalidInput
from lakehouse.operations import OPERATIONS, Operation

GATEWAY = "gateway"


class Service(msgspec.Struct, frozen=True):
    """One service: `rooms` are the attributes of `Lakehouse` that it answers for."""

    name: str
    port: int
    rooms: tuple[str, ...]


SERVICES: tuple[Service, ...] = (
    Service("storaged", 3211, ("storage",)),
    Service("catalogd", 3212, ("catalog", "subjects", "keys")),
    Service("ingestd", 3213, ("ingest",)),
    Service("queryd", 3214, ("sql",)),
    Service("vectord", 3215, ("vectors",)),
    Service("embedd", 3216, ("embed",)),
    Service("pathwayd", 3217, ("pathways",)),
    Service("matrixd", 3218, ("matrix", "corpora", "playbooks", "demand", "demands")),
    Service("observerd", 3219, ("observer", "inbox", "workflow", "traces", "learn")),
    Service("chatd", 3220, ("chat",)),
    Service("validatord", 3221, ("validate", "iterate")),
)


def find(name: str) -> Service:
    """Return a service by its name ("vectord") or the name of a room it answers for ("vectors").

    Raises:
        InvalidInput: No service has that name; the message lists those there are.
    """
    for service in SERVICES:
        if name == service.name or name in service.rooms:
            return service
    known = ", ".join(service.name for service in SERVICES)
    raise InvalidInput(f"there is no service {name!r}; choose one of {known}", field="service")


def operations_of(names: Iterable[str]) -> tuple[Operation, ...]:
    """Return the operations of the named services, in the order of the table."""
    rooms = {room for name in names for room in find(name).rooms}
    return tuple(operation for operation in OPERATIONS if operation.service in rooms)


def health_names() -> dict[str, Service]:
    """Return every word that may stand in `/v1/<service>/health`: service names and their rooms.

    `storage` is left out: below `/v1/storage/` stands every object's key, `health` among them.
    """
    words = {word: service for service in SERVICES for word in (service.name, *service.rooms)}
    del words["storage"]
    return words
