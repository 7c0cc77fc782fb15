"""Put the shipped data inside the wheel; an editable install reads it from the checkout."""

from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class Data(BuildHookInterface):  # type: ignore[type-arg]
    """Map `data/` of the checkout to `lakehouse/data` of the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Add the folder to standard builds only."""
        if version == "standard":
            build_data["force_include"]["data"] = "lakehouse/data"
