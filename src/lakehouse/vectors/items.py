"""What an index takes in: the checks of names, ids, vectors and metadata, shared by every way in."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from lakehouse.errors import InvalidInput, NotFound
from lakehouse.state.names import MEMORY_INDEX

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.vectors.base import Distance, Item
    from lakehouse.vectors.index import Manifest

MAX_ID_BYTES = 512

_NAME = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.-]{1,128}\Z")


class Prepared(NamedTuple):
    """Checked items, ready to store: `(n, d)` float32 vectors, metadata as JSON."""

    ids: list[str]
    vectors: np.ndarray
    metadata: list[bytes]


class TextEmbedder:
    """The embedding model at hand, offered to the indexes it fits.

    Args:
        embed: Turns n texts into `(n, d)` float32 vectors.
        model: Its name.
        dimension: Its d.
    """

    def __init__(self, embed: Callable[[Sequence[str]], np.ndarray], model: str, dimension: int) -> None:
        self._embed = embed
        self._model = model
        self._dimension = dimension

    def vectors(self, texts: Sequence[str], manifest: Manifest, where: str) -> np.ndarray:
        """Embed texts for an index.

        Raises:
            InvalidInput: The index holds another model's vectors, or a text is blank.
            TooLarge: A text is too long.
        """
        if manifest.model not in (None, self._model) or manifest.dimension != self._dimension:
            raise InvalidInput(
                f"{where}: index {manifest.name!r} holds vectors of {manifest.model or 'an unnamed model'} with "
                f"{manifest.dimension} numbers, texts become {self._dimension} numbers of {self._model}; give vectors",
                field=where,
            )
        return self._embed(texts)


def prepare(items: Sequence[Item], manifest: Manifest, texts: TextEmbedder) -> Prepared:
    """Check items and embed their texts.

    Raises:
        InvalidInput, TooLarge: See `Vectors.add`.
    """
    import numpy as np

    _check_ids(items)
    metadata = [encode_metadata(item.metadata, f"items[{at}]") for at, item in enumerate(items)]
    by_text = [at for at, item in enumerate(items) if _has_text(item, at)]
    vectors = np.empty((len(items), manifest.dimension), dtype=np.float32)
    for at, item in enumerate(items):
        if item.vector is not None:
            vectors[at] = row(item.vector, manifest, f"items[{at}].vector")
    if by_text:
        vectors[by_text] = texts.vectors(
            [items[at].text or "" for at in by_text], manifest, f"items[{by_text[0]}].text"
        )
    check_vectors(vectors, manifest.distance, lambda at: f"items[{at}].vector")
    return Prepared([item.id for item in items], vectors, metadata)


def row(numbers: Sequence[float], manifest: Manifest, where: str) -> np.ndarray:
    """Return a vector given as numbers, `(d,)` float32.

    Raises:
        InvalidInput: It is not of the index' dimension.
    """
    import numpy as np

    if len(numbers) != manifest.dimension:
        raise InvalidInput(
            f"{where} has {len(numbers)} numbers, index {manifest.name!r} has dimension {manifest.dimension}",
            field=where,
        )
    with np.errstate(over="ignore"):
        return np.array(numbers, dtype=np.float32)


def check_query(vector: np.ndarray, manifest: Manifest) -> None:
    """Refuse a vector that cannot be searched with; quick for one that can.

    Raises:
        InvalidInput: It is not of the index' dimension, not finite, or without direction.
    """
    if vector.shape != (manifest.dimension,):
        raise InvalidInput(
            f"vector has {vector.size} numbers, index {manifest.name!r} has dimension {manifest.dimension}",
            field="vector",
        )
    if not _fits()(vector):
        check_vectors(vector.reshape(1, -1), manifest.distance, lambda _: "vector")


@functools.cache
def _fits() -> Callable[[np.ndarray], bool]:
    # Imported once: each further time would cost as much as the product that is asked for.
    from lakehouse.vectors._scoring import fits

    return fits


def check_name(name: str, field: str = "name") -> None:
    """Refuse a name that is not 1 to 128 of A-Z, a-z, 0-9, `_`, `.`, `-`, or has dots only.

    Raises:
        InvalidInput: Naming the field.
    """
    if not _NAME.match(name):
        raise InvalidInput(
            f"{field} {name[:140]!r} is not an index name: 1 to 128 of A-Z, a-z, 0-9, '_', '.' and '-', not dots only",
            field=field,
        )


def check_writable(name: str, field: str = "name") -> None:
    """Refuse the name of an index that memory alone writes: whoever else wrote it would be undone, or in its way.

    Raises:
        InvalidInput: Naming the field.
    """
    if name.startswith(MEMORY_INDEX):
        raise InvalidInput(
            f"{field} {name[:140]!r}: indexes whose names begin with {MEMORY_INDEX!r} are made of memory, which is"
            " written by /v1/matrix/playbooks; choose another name",
            field=field,
        )


def no_corpus(corpus: str, names: Iterable[str]) -> NotFound:
    """Return the error for a corpus that is not there.

    Args:
        corpus: Asked for.
        names: Of all indexes; those made of memory are nobody's corpus, and whose they are is not told.
    """
    known = [name for name in names if not name.startswith(MEMORY_INDEX)]
    return NotFound(
        f"corpus {corpus[:140]!r} does not exist; there are: {', '.join(known) or 'none yet'}", corpus=corpus
    )


def check_id(id: Any, where: str) -> None:
    """Refuse an id that is not a text of 1 to 512 bytes in UTF-8.

    Raises:
        InvalidInput: Naming `where`.
    """
    if not isinstance(id, str) or not id:
        raise InvalidInput(f"{where} has no id; an id is a text of 1 to {MAX_ID_BYTES} bytes", field=where)
    try:
        size = len(id.encode())
    except UnicodeEncodeError:
        raise InvalidInput(
            f"the id of {where} has half a surrogate pair, which no UTF-8 can hold", field=where
        ) from None
    if size > MAX_ID_BYTES:
        raise InvalidInput(f"the id of {where} is {size} bytes long; at most {MAX_ID_BYTES}", field=where)


def check_vectors(vectors: np.ndarray, distance: Distance, where: Callable[[int], str]) -> None:
    """Refuse vectors that cannot be compared.

    Args:
        vectors: `(n, d)` float32.
        distance: With cosine a vector must have a direction.
        where: Names a row in the message.

    Raises:
        InvalidInput: A number is not finite, a vector is too long for float32 products or, with cosine, zero.
    """
    import numpy as np

    from lakehouse.vectors import _scoring

    lengths = _scoring.lengths_of(vectors)
    fit = _scoring.lengths_fit(lengths, distance)
    if fit.all():
        return
    row = int(np.argmin(fit))
    if not np.isfinite(vectors[row]).all():
        raise InvalidInput(f"{where(row)} has a number that float32 cannot hold (NaN or infinite)", field=where(row))
    if lengths[row] < 1:
        raise InvalidInput(f"{where(row)} is zero, and cosine needs a direction", field=where(row))
    raise InvalidInput(f"{where(row)} is too long to be compared in float32; scale it down", field=where(row))


def encode_metadata(metadata: dict[str, Any], where: str) -> bytes:
    """Encode metadata so that decoding gives exactly the same values back.

    Raises:
        InvalidInput: A value is no JSON (NaN, an infinite number, another type, half a surrogate pair).
    """
    try:
        encoded = msgspec.json.encode(metadata)
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"{where}.metadata cannot be stored as JSON: {error}", field=f"{where}.metadata") from None
    # NaN and infinity are encoded as null, which would come back as another value.
    if b"null" in encoded and not _finite(metadata):
        raise InvalidInput(f"{where}.metadata has a number that is not finite", field=f"{where}.metadata")
    return encoded


def _check_ids(items: Sequence[Item]) -> None:
    seen: dict[str, int] = {}
    for at, item in enumerate(items):
        check_id(item.id, f"items[{at}]")
        if item.id in seen:
            raise InvalidInput(
                f"items[{at}] has the id {item.id!r} of items[{seen[item.id]}]; give an id once per call",
                field=f"items[{at}].id",
            )
        seen[item.id] = at


def _has_text(item: Item, at: int) -> bool:
    if (item.vector is None) == (item.text is None):
        raise InvalidInput(f"items[{at}] needs either vector or text, one of them", field=f"items[{at}]")
    return item.text is not None


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_finite(single) for single in value.values())
    if isinstance(value, list | tuple):
        return all(_finite(single) for single in value)
    return True
