"""Names that several rooms go by."""

from __future__ import annotations

# Begins the names of the indexes that are derived from memory, one a namespace.
MEMORY_INDEX = "playbook_"
# Begins what bookings of an open demand are known by; its id follows.
OF_A_DEMAND = "demand:"
