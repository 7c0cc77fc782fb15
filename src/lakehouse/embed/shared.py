"""Vectors by the content of their text, in files that several machines see: who embeds writes, builds read."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from lakehouse.state.folder import fsync_dir

if TYPE_CHECKING:
    import numpy as np

_KEY_BYTES = 32
_SUFFIX = ".vectors"


class SharedVectors:
    """A folder of Arrow files with the columns `key` (32 bytes) and `vector` (float32).

    A file is named by the keys in it, appears whole or not at all, and is never changed but to forget. Any number of
    processes may write and read at once. A file that cannot be read is passed over: it costs time, not the answer.

    Args:
        folder: Made when somebody writes.

    >>> import tempfile
    >>> import numpy as np
    >>> shared = SharedVectors(Path(tempfile.mkdtemp()) / "vectors")
    >>> name = shared.write({bytes(32): np.ones(2, dtype=np.float32)})
    >>> [len(found) for _, found in shared.files(known=[])], [*shared.files(known=[name])]
    ([1], [])
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def write(self, vectors: Mapping[bytes, np.ndarray]) -> str:
        """Keep vectors; returns the name of their file. The same keys again are the same file.

        Raises:
            OSError: The disk is full or the folder read-only.
        """
        import numpy as np
        import pyarrow as pa

        keys = sorted(vectors)
        name = name_of(keys)
        flat = pa.array(np.concatenate([vectors[key] for key in keys]).astype(np.float32, copy=False))
        table = pa.table(
            {
                "key": pa.array(keys, pa.binary(_KEY_BYTES)),
                "vector": pa.FixedSizeListArray.from_arrays(flat, len(flat) // len(keys)),
            }
        )
        self._folder.mkdir(parents=True, exist_ok=True)
        part = self._folder / f".{name}.{secrets.token_hex(4)}"
        try:
            with pa.OSFile(str(part), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
            part.replace(self._folder / name)
            fsync_dir(self._folder)
        finally:
            part.unlink(missing_ok=True)
        return name

    def has(self, name: str) -> bool:
        """Tell whether there is a file of that name."""
        return (self._folder / name).is_file()

    def files(self, known: Iterable[str]) -> Iterator[tuple[str, dict[bytes, np.ndarray]]]:
        """Yield name and vectors of every file that is not known, by name."""
        passed = frozenset(known)
        for path in sorted(self._folder.glob(f"*{_SUFFIX}")):
            if path.name not in passed:
                found = _read(path)
                if found:
                    yield path.name, found

    def forget(self, keys: Iterable[bytes]) -> int:
        """Write files that hold some keys again without them, and remove the old ones; returns how many keys went.

        Raises:
            OSError: The disk is full or the folder read-only.
        """
        unwanted = frozenset(keys)
        gone = 0
        for name, found in self.files(known=()):
            left = {key: vector for key, vector in found.items() if key not in unwanted}
            if len(left) < len(found):
                gone += len(found) - len(left)
                if left:
                    self.write(left)
                (self._folder / name).unlink(missing_ok=True)
        return gone


def name_of(keys: Iterable[bytes]) -> str:
    """Return the name of the file of some keys, in whatever order they come."""
    return hashlib.sha256(b"".join(sorted(keys))).hexdigest() + _SUFFIX


def _read(path: Path) -> dict[bytes, np.ndarray]:
    import numpy as np
    import pyarrow as pa

    try:
        with pa.OSFile(str(path)) as source:
            table = pa.ipc.open_file(source).read_all().combine_chunks()
        keys: list[bytes] = table.column("key").to_pylist()
        vectors = table.column("vector").combine_chunks()
        matrix = np.asarray(vectors.values.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(len(keys), -1)
    except (OSError, pa.ArrowInvalid, KeyError, ValueError):
        return {}
    return dict(zip(keys, matrix, strict=True))
