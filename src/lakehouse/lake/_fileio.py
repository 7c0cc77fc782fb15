"""Files of an Iceberg table, written so that they survive a power cut and found again when the lake moves.

Iceberg records absolute locations. A lake folder that was copied or renamed keeps the locations it was made
with; `root` (as recorded) is read as `place` (where the warehouse is now).
"""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any, cast

from pyiceberg.io import OutputStream
from pyiceberg.io.pyarrow import PyArrowFile, PyArrowFileIO
from pyiceberg.typedef import EMPTY_DICT, Properties

from lakehouse.state.folder import fsync_dir

ROOT = "lakehouse.root"
PLACE = "lakehouse.place"
IMPLEMENTATION = f"{__name__}.LakeFileIO"


def path_of(location: str, properties: Properties) -> str:
    """Return the path a recorded location has now."""
    root, place = str(properties.get(ROOT, "")), str(properties.get(PLACE, ""))
    if root and location.startswith(root + "/"):
        return place + location[len(root) :]
    return location.removeprefix("file://")


class LakeFileIO(PyArrowFileIO):
    """Local files by recorded location. Names are taken as they are: no percent signs, no fragments."""

    @staticmethod
    def parse_location(location: str, properties: Properties = EMPTY_DICT) -> tuple[str, str, str]:
        """Return scheme, host (none) and path."""
        return "file", "", path_of(location, properties)

    def new_output(self, location: str) -> PyArrowFile:
        """Return a file whose stream is fsynced when it is closed."""
        plain = super().new_output(location)
        return DurableFile(plain.location, plain._path, plain._filesystem)


class DurableFile(PyArrowFile):
    """A local file that is on disk, name included, once its stream is closed."""

    def create(self, overwrite: bool = False) -> OutputStream:
        """Open the file for writing; `overwrite` false refuses an existing one."""
        path = Path(self._path)
        make_folders(path.parent)
        return cast(OutputStream, _DurableStream(path, "wb" if overwrite else "xb"))


class _DurableStream(io.BufferedWriter):
    def __init__(self, path: Path, mode: str) -> None:
        super().__init__(cast(Any, io.FileIO(path, mode)))
        self._folder = path.parent

    def close(self) -> None:
        if self.closed:
            return
        try:
            self.flush()
            os.fsync(self.fileno())
        finally:
            super().close()
        fsync_dir(self._folder)


def make_folders(folder: Path) -> None:
    """Create a folder and those above it, so that they survive a power cut."""
    new = [folder]
    while not new[-1].exists():
        new.append(new[-1].parent)
    folder.mkdir(parents=True, exist_ok=True)
    for made in new[:-1]:
        fsync_dir(made.parent)
