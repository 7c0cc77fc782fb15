"""The shape of one case of the contract."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from lakehouse.errors import LakehouseError

Arguments = dict[str, Any] | Callable[[list[Any]], dict[str, Any]]


class Case(msgspec.Struct, frozen=True):
    """One story. `covers` is the operation of its last step."""

    name: str
    steps: list[tuple[str, Arguments]]
    holds: Callable[[Any], bool] | None = None
    raises: type[LakehouseError] | None = None
    says: str = ""

    @property
    def covers(self) -> str:
        return self.steps[-1][0]
