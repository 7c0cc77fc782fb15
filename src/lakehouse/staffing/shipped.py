"""Where the data that ships with the product lies."""

from __future__ import annotations

from pathlib import Path

from lakehouse.errors import NotInstalled

_PACKAGE = Path(__file__).resolve().parent.parent
_PLACES = (_PACKAGE / "data", _PACKAGE.parent.parent / "data")


def shipped(name: str) -> Path:
    """Return the path of a shipped data file (`data/` of the checkout, or inside an installed wheel).

    Raises:
        NotInstalled: The file is in neither place.
    """
    for folder in _PLACES:
        if (folder / name).is_file():
            return folder / name
    raise NotInstalled(f"shipped data file {name!r} is missing; reinstall lakehouse", file=name)
