"""Whether the servers that the settings name for datasets and objects can be used; nothing is changed there."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import structs

from lakehouse.errors import NotFound, PermissionDenied, Unavailable
from lakehouse.state import servers

if TYPE_CHECKING:
    from lakehouse.settings import Catalog, Storage
# Of a list, the engine keeps no kind of error.
_NO_BUCKET = "status code: 404"


def catalog(section: Catalog, storage: Storage, folder: Path) -> str:
    """Say what is at `catalog.uri`.

    Raises:
        LakehouseError: It cannot be used; the message says what to do.
    """
    from lakehouse.lake import _catalogs, _warehouse

    with _warehouse.mapped(section, folder):
        if section.uri.startswith(("http://", "https://")):
            opened, _ = _catalogs.rest(section, storage, servers.CONNECT_S)
            found = len(opened.list_namespaces())
            opened.close()
            return f"{section.uri} has {found} namespaces"
        return servers.look(section.uri)


def bucket(storage: Storage, place: str, setting: str) -> str:
    """Say that a bucket can be listed.

    Args:
        storage: How to reach the service.
        place: `s3://bucket/prefix`.
        setting: What names it.

    Raises:
        NotFound, PermissionDenied, Unavailable: It cannot; the message says what to do.
    """
    from lakehouse.lake import _objects

    name, _, prefix = place.removeprefix("s3://").partition("/")
    where = f"{place} ({setting}) at {storage.endpoint or 'Amazon S3'}"
    config = structs.replace(storage, backend="s3", bucket=name, prefix=prefix)
    try:
        _objects.open_bucket(config, Path(), os.environ).look()
    except PermissionDenied as error:
        keys = f"${storage.access_key_env} and ${storage.secret_key_env}"
        raise PermissionDenied(f"{where}: {error.message} in {keys}") from None
    except Unavailable as error:
        if _NO_BUCKET in error.message:
            raise NotFound(f"there is no bucket of {where}; create it, or mend {setting}") from None
        raise Unavailable(
            f"{where} is out of reach: {error.message}; see that it runs and can be reached from here, or mend"
            " storage.endpoint"
        ) from None
    return f"{where} can be listed"
