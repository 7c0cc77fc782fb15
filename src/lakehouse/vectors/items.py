"""What an index takes in: the checks of names, ids, vectors and metadata, shared by every way in."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from lakehouse.errors import InvalidInput

if TYPE_CHECKING:
    import numpy as np

    from lakehouse.vectors.base import Distance

MAX_ID_BYTES = 512

_NAME = re.compile(r"(?!\.+\Z)[A-Za-z0-9_.-]{1,128}\Z")


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


def _finite(value: Any) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, dict):
        return all(_finite(single) for single in value.values())
    if isinstance(value, list | tuple):
        return all(_finite(single) for single in value)
    return True
