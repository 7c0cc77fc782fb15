"""What an auditor is given of one person: chain, proof, checkpoint, the verifier, and a timeline to read."""

from __future__ import annotations

import json
import shutil
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from lakehouse.errors import AlreadyExists, NotFound
from lakehouse.ledger import rows, verifier
from lakehouse.state.folder import atomic_write, disk_error

if TYPE_CHECKING:
    from lakehouse.ledger.ledger import Ledger

_STYLE = """
:root { color-scheme: light dark; font: 15px/1.5 system-ui, sans-serif; }
body { max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .35rem .7rem .35rem 0; border-bottom: 1px solid #8885; }
td.time { white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font-size: .85em; overflow-wrap: anywhere; }
"""


class Bundled(msgspec.Struct, frozen=True):
    """What was written, and how many rows of the chain."""

    folder: str
    rows: int


def write(ledger: Ledger, subject: str, folder: Path) -> Bundled:
    """Write the bundle of one subject into a new folder; a checkpoint that speaks of them is made first if need be.

    Raises:
        NotFound: The subject has no rows.
        AlreadyExists: The folder is there.
        PermissionDenied, Unavailable: The disk refused.
    """
    chain = list(ledger.lines(subject))
    if not chain:
        raise NotFound(f"nobody has seen or used data of {subject!r}: there are no rows", id=subject)
    ledger.checkpoint()
    proof, vkey = ledger.prove(subject), ledger.ring.vkey
    try:
        folder.mkdir(parents=True)
    except FileExistsError:
        raise AlreadyExists(f"{folder} is there already; name a new folder", path=str(folder)) from None
    except OSError as error:
        raise disk_error(error, folder) from error
    facts = {"subject": subject, "vkey": vkey, "leaf": proof.leaf, "index": proof.index, "proof": proof.path}
    atomic_write(folder / "chain.jsonl", b"".join(line + b"\n" for line in chain))
    atomic_write(folder / "checkpoint", proof.checkpoint.encode())
    atomic_write(folder / "timeline.html", _timeline(subject, chain, proof.checkpoint).encode())
    atomic_write(folder / "public.vkey", f"{vkey}\n".encode())
    shutil.copyfile(verifier.__file__, folder / "verifier.py")
    atomic_write(folder / "bundle.json", json.dumps(facts, indent=2).encode() + b"\n")
    return Bundled(str(folder), len(chain))


def _timeline(subject: str, chain: list[bytes], checkpoint: str) -> str:
    told = [rows.read(line) for line in chain]
    lines = "\n".join(
        f'<tr><td>{row.seq}</td><td class="time">{escape(row.time[:19].replace("T", " "))}</td>'
        f"<td>{escape(row.accessor.kind)} {escape(row.accessor.id)}</td><td>{escape(row.action)}</td>"
        f"<td>{escape(row.purpose)}</td><td>{escape(', '.join(row.fields))}</td><td>{escape(row.result)}</td>"
        f"<td><code>{escape(row.accessor.trace_id)}</code></td></tr>"
        for row in told
    )
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Who saw and used the data of {escape(subject)}</title>
<style>{_STYLE}</style>
<h1>Who saw and used the data of {escape(subject)}</h1>
<p>{len(told)} rows, {escape(told[0].time[:10])} to {escape(told[-1].time[:10])}, times in UTC. This page is for
reading; what proves it is beside it: run <code>python verifier.py .</code> in this folder.</p>
<table>
<tr><th>#</th><th>time</th><th>who</th><th>what</th><th>for</th><th>fields</th><th>result</th><th>trace</th></tr>
{lines}
</table>
<h2>Signed checkpoint</h2>
<pre><code>{escape(checkpoint)}</code></pre>
</html>
"""
