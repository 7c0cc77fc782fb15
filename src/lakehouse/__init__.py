"""Staffing search with memory: a demand line in, real people out.

`connect("./lake")` runs everything in this process; `connect("http://127.0.0.1:3110")` talks to a running
stack. Same methods, same errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lakehouse.app import Lakehouse as Lakehouse
    from lakehouse.app import connect as connect

__version__ = "0.1.0"
__all__ = ["Lakehouse", "__version__", "connect"]


def __getattr__(name: str) -> Any:
    # Loaded on first use, so that importing a single module of the package stays cheap.
    if name in {"connect", "Lakehouse"}:
        from lakehouse import app

        return getattr(app, name)
    raise AttributeError(f"module 'lakehouse' has no attribute {name!r}")
