"""What a lake folder knows of the corpora whose indexes lie in it."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from pathlib import Path

import msgspec

from lakehouse.errors import WrongState
from lakehouse.matrix.base import Corpus
from lakehouse.state.folder import atomic_write


class Here:
    """Notes beside the indexes. A note without a corpus says that the index of its name has still to be removed.

    A replica notes every corpus that it builds, because others may delete it while this one is down. A lake that is
    none notes a corpus just before it is deleted.

    Args:
        folder: Of the notes.
        shared: Whether this is a replica.
    """

    def __init__(self, folder: Path, *, shared: bool) -> None:
        self._folder = folder
        # Two names, so that a replica's folder that is opened without its database by mistake loses no index.
        self._ending = ".built" if shared else ".deleted"
        self._refused: dict[str, tuple[Corpus, str]] = {}

    def built(self, name: str) -> Corpus | None:
        """Return the definition that the index of this folder was built by; None when none or not wholly."""
        try:
            return msgspec.json.decode(self._note(name).read_bytes(), type=Corpus)
        except (OSError, msgspec.MsgspecError):
            return None

    def names(self) -> list[str]:
        """Return the names of all that is noted."""
        return sorted(path.name.removesuffix(self._ending) for path in self._folder.glob(f"*{self._ending}"))

    def has(self, name: str) -> bool:
        """Tell whether there is a note."""
        return self._note(name).exists()

    def begin(self, name: str) -> None:
        """Note that the index of this name is a corpus', and not built by any definition yet or any more."""
        self._folder.mkdir(exist_ok=True)
        atomic_write(self._note(name), b"")

    def note(self, corpus: Corpus) -> None:
        """Note by which definition an index was built."""
        self._refused.pop(corpus.name, None)
        atomic_write(self._note(corpus.name), msgspec.json.encode(corpus))

    def forget(self, name: str) -> None:
        """Remove what is known of a corpus, the note last."""
        self.hashes(name).unlink(missing_ok=True)
        self.unnote(name)
        self._refused.pop(name, None)

    def unnote(self, name: str) -> None:
        """Remove the note alone: the index is no corpus' after all."""
        self._note(name).unlink(missing_ok=True)

    def hashes(self, name: str) -> Path:
        """Return the file of what the index got from the dataset at the last build."""
        return self._folder / f"{name}.hashes"

    def refuse(self, corpus: Corpus, why: str) -> None:
        """Remember that a corpus cannot be built here by this definition."""
        self._refused[corpus.name] = corpus, why

    def accept_all_but(self, names: AbstractSet[str]) -> None:
        """Forget what was remembered by `refuse` of corpora of other names."""
        self._refused = {name: found for name, found in self._refused.items() if name in names}

    def is_refused(self, name: str, corpus: Corpus | None = None) -> bool:
        """Tell whether a corpus cannot be built here, by one definition or by whichever was the last."""
        found = self._refused.get(name)
        return found is not None and corpus in (None, found[0])

    def check(self, names: list[str]) -> None:
        """Refuse corpora that could not be built here as another replica has built them.

        Raises:
            WrongState: The message says why, and what to do.
        """
        for name in names if self._refused else ():
            found = self._refused.get(name)
            if found is not None:
                raise WrongState(
                    f"corpus {name!r} cannot be built on this replica as another one has built it: {found[1]}. Once"
                    f" that is mended here, `lakehouse corpus build {name}` builds it",
                    corpus=name,
                )

    def _note(self, name: str) -> Path:
        return self._folder / f"{name}{self._ending}"
