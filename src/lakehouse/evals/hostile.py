"""What hostile entries do to clean queries: that part of the lift evaluation alone.

    python -m lakehouse.evals.hostile --years 2018 --part tune

Every clean query that was changed is shown with the entries that did it and the gates that they passed.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from lakehouse.evals import lift
from lakehouse.evals._lift_checks import Checks
from lakehouse.evals._lift_shapes import Poison


def measure(options: lift.Options, folder: Path, *, tell: Callable[[str], None] = lambda _: None) -> Poison:
    """Record the choices of a cold pass and hostile entries beside a copy of them, in a lake below `folder`."""
    with lift.prepared(options, folder, tell=tell) as (lake, passes, _, _, _):
        tell("hostile entries")
        return Checks(lake, passes, lift.CORPUS, lift.NAMESPACE, lift.K).poison(options.poison, options.seed)


def main(argv: Sequence[str] | None = None) -> Poison:
    """Run it and print what was changed."""
    from lakehouse.evals import _lift_report

    chosen = vars(lift.arguments(__doc__).parse_args(argv))
    chosen["years"] = tuple(chosen["years"])
    with tempfile.TemporaryDirectory() as folder:
        found = measure(lift.Options(**chosen), Path(folder), tell=print)
    print("\n".join(_lift_report.changed(found)))
    print()
    print(_lift_report.aligned(_lift_report.hostile(found)))
    return found


if __name__ == "__main__":
    main()
