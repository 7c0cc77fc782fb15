"""Which catalog and which warehouse the settings name."""

from __future__ import annotations

import functools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lakehouse.errors import InvalidInput
from lakehouse.lake._files import S3, BucketFiles, LocalFiles
from lakehouse.lake._iceberg import LakeCatalog, Tables
from lakehouse.state import servers
from lakehouse.state.database import check_url

if TYPE_CHECKING:
    from pyiceberg.catalog.rest import RestCatalog

    from lakehouse import settings
    from lakehouse.lake._files import Files

_NAME = "lakehouse"


def open_tables(catalog: settings.Catalog, storage: settings.Storage, folder: Path) -> Tables:
    """Open the catalog and the warehouse that the settings name.

    Raises:
        InvalidInput: The warehouse is neither a folder nor `s3://`, or the database URL is malformed.
        NotInstalled: The database's driver is missing.
    """
    if catalog.uri.startswith(("http://", "https://")):
        return Tables(*rest(catalog, storage))
    files = _warehouse(catalog.warehouse, storage, folder)
    uri = catalog.uri or f"sqlite:///{folder.absolute() / 'catalog.db'}"
    check_url(uri)
    return Tables(LakeCatalog(_NAME, **{"uri": uri, "warehouse": files.root, **files.properties}), files)


def _warehouse(place: str, storage: settings.Storage, folder: Path) -> Files:
    if place.startswith(S3):
        return BucketFiles(place, storage)
    if "://" in place:
        raise InvalidInput(
            f"catalog.warehouse {place!r} must be a folder or an address like s3://bucket/prefix", field="warehouse"
        )
    return LocalFiles(Path(place or folder / "warehouse").absolute())


def rest(
    catalog: settings.Catalog, storage: settings.Storage, answer_s: float | None = None
) -> tuple[RestCatalog, BucketFiles]:
    """Reach a REST catalog and the warehouse of its tables; nothing is made there."""
    from pyiceberg.catalog.rest import RestCatalog

    class Bounded(RestCatalog):
        def _config_headers(self, session: Any) -> None:
            # The first that is done to a session; pyiceberg waits for ever.
            session.request = functools.partial(
                session.request, timeout=(servers.CONNECT_S, answer_s or servers.ANSWER_S)
            )
            super()._config_headers(session)

    if not catalog.warehouse.startswith(S3):
        raise InvalidInput("catalog.warehouse must be s3://bucket of the REST catalog's tables", field="warehouse")
    files = BucketFiles(catalog.warehouse, storage)
    # pyiceberg's own default for this address is on its way out.
    tokens = catalog.uri.rstrip("/") + "/v1/oauth/tokens"
    properties = {"uri": catalog.uri, "oauth2-server-uri": tokens, "warehouse": catalog.warehouse, **files.properties}
    secret = os.environ.get(catalog.credential_env, "")
    if secret:
        properties["credential" if ":" in secret else "token"] = secret
    return Bounded(_NAME, **properties), files
