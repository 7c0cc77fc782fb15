"""Phases 1 to 5: what is stored, and whether searches find it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from lakehouse.errors import IntegrityError, NotFound
from lakehouse.learn.audit.base import Found, Lake, sampled
from lakehouse.matrix.base import Corpus
from lakehouse.state import backup

_OBJECTS = 50
_SAMPLE = 100
_TEXTS = 20
# An item must be among this many for its own vector: people with the very same text share the first place.
_AMONG = 200
_LEAST_FOUND = 0.99
_LEAST_COSINE = 0.99999
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")


def store(lake: Lake) -> Found:
    """Check every database and read a sample of the stored objects."""
    found = Found(metrics={})
    try:
        found.metrics["p1_databases"] = len(backup.check_databases(lake.folder))
    except IntegrityError as error:
        found.wrong.append(error.message)
    listed = lake.rooms.storage.list(limit=_OBJECTS).objects
    for each in listed:
        size = len(lake.rooms.storage.get(each.key))
        if size != each.size:
            found.wrong.append(f"object {each.key!r} has {size} bytes, {each.size} are listed")
    found.metrics["p1_objects_read"] = len(listed)
    return found


def catalog(lake: Lake) -> Found:
    """Count the rows of every dataset and compare them with its manifest."""
    manifests = lake.rooms.catalog.datasets().datasets
    found = Found(metrics={"p2_datasets": len(manifests), "p2_rows": sum(each.rows for each in manifests)})
    for manifest in manifests:
        try:
            # Every value of every column, not only what the footers of the files say.
            rows = sum(batch.num_rows for batch in lake.rooms.catalog.scan(manifest.name))
        except Exception as error:  # noqa: BLE001 - whatever an engine says of a file is what is to be told
            found.wrong.append(f"dataset {manifest.name!r} cannot be read: {error}")
            continue
        if rows != manifest.rows:
            found.wrong.append(f"dataset {manifest.name!r} has {rows} rows, its manifest says {manifest.rows}")
    found.metrics["p2_unreadable"] = len(found.wrong)
    return found


def receipts(lake: Lake) -> Found:
    """Check that every dataset says which file it was last made from, and that its newest snapshot says the same."""
    manifests = lake.rooms.catalog.datasets().datasets
    found = Found(metrics={"p3_receipts": len(manifests)})
    for manifest in manifests:
        newest = max(lake.rooms.catalog.snapshots(manifest.name).snapshots, key=lambda each: each.at, default=None)
        if newest is None or newest.snapshot_id != manifest.snapshot_id:
            found.wrong.append(f"dataset {manifest.name!r}: its newest snapshot is not the one its manifest names")
        elif newest.rows != manifest.rows:
            found.wrong.append(f"dataset {manifest.name!r}: {newest.rows} rows were received, it has {manifest.rows}")
        if not _FINGERPRINT.fullmatch(manifest.fingerprint):
            found.wrong.append(f"dataset {manifest.name!r} does not say which file it was made from")
    found.metrics["p3_without_receipt"] = len(found.wrong)
    return found


def findability(lake: Lake) -> Found:
    """Search for a sample of each corpus by its own vectors, and compare what is indexed with what was built."""
    corpora = lake.rooms.corpora.list().corpora
    found = Found(metrics={"p4_corpora": len(corpora)}, skipped="" if corpora else "there is no corpus")
    asked = hit = 0
    # They were in the corpus when it was built, and are meant to be gone.
    erased = set(lake.rooms.subjects.erased())
    for corpus in corpora:
        built = lake.rooms.corpora.built_ids(corpus.name)
        try:
            indexed = lake.rooms.vectors.ids(corpus.name).ids
        except NotFound:
            found.wrong.append(f"corpus {corpus.name!r} has no index")
            continue
        lost = sorted(built - set(indexed) - erased) if built is not None else []
        if lost:
            found.wrong.append(f"{len(lost)} people of corpus {corpus.name!r} are not in its index, such as {lost[0]}")
        if corpus.stale:
            found.doubtful.append(f"corpus {corpus.name!r} is older than its dataset")
        for id in sampled(indexed, _SAMPLE):
            vector = np.asarray(lake.rooms.vectors.get(corpus.name, id).vector, dtype=np.float32)
            asked += 1
            hit += any(near.id == id for near in lake.rooms.vectors.nearest(corpus.name, vector, _AMONG))
    share = hit / asked if asked else 1.0
    if share < _LEAST_FOUND:
        found.wrong.append(f"{asked - hit} of {asked} sampled people are not found by their own vector")
    found.metrics |= {"p4_sampled": asked, "p4_findable": round(share, 6)}
    return found


def parity(lake: Lake) -> Found:
    """Embed a sample of texts anew and compare the vectors with those in the indexes."""
    corpora = lake.rooms.corpora.defined()
    found = Found(metrics={"p5_texts": 0}, skipped="" if corpora else "there is no corpus")
    worst = 1.0
    for corpus in corpora:
        texts = _texts(lake, corpus)
        # Through the model, not from the cache, which is what is to be checked.
        lake.rooms.embed.forget(list(texts.values()))
        vectors: Sequence[np.ndarray] = list(lake.rooms.embed.array(list(texts.values()))) if texts else []
        found.metrics["p5_texts"] += len(texts)
        for id, fresh in zip(texts, vectors, strict=True):
            stored = np.asarray(lake.rooms.vectors.get(corpus.name, id).vector, dtype=np.float64)
            cosine = float(stored @ fresh) / float(np.linalg.norm(stored) * np.linalg.norm(fresh))
            worst = min(worst, cosine)
            if cosine < _LEAST_COSINE:
                found.wrong.append(
                    f"the vector of {id} in {corpus.name!r} is not that of its text (cosine {cosine:.5f})"
                )
    found.metrics["p5_least_cosine"] = round(worst, 6)
    return found


def _texts(lake: Lake, corpus: Corpus) -> dict[str, str]:
    """Return the texts of a sample of a corpus by id; those whose row is newer than the index are left out."""
    if any(each.name == corpus.name and each.stale for each in lake.rooms.corpora.list().corpora):
        return {}
    found = {}
    at = [each.name for each in lake.rooms.corpora.defined() if each.dataset == corpus.dataset].index(corpus.name)
    for row in _spread(lake, corpus.dataset):
        id = str(row[corpus.id_column])
        id = id if id.startswith(corpus.id_prefix) else corpus.id_prefix + id
        text = lake.rooms.corpora.texts(corpus.dataset, row)[at]
        if text.strip():
            found[id] = text
    return found


def _spread(lake: Lake, dataset: str) -> Iterator[dict[str, Any]]:
    """Yield a few rows of a dataset, evenly spread."""
    rows = lake.rooms.catalog.dataset(dataset).rows
    wanted = sorted({nth * rows // _TEXTS for nth in range(min(rows, _TEXTS))})
    passed = 0
    for batch in lake.rooms.catalog.scan(dataset):
        for number in wanted:
            if passed <= number < passed + batch.num_rows:
                yield from batch.slice(number - passed, 1).to_pylist()
        passed += batch.num_rows
