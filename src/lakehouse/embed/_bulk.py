"""Bulk embedding as a job on Spark: the only module of this room that knows its client."""

from __future__ import annotations

import functools
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any
from urllib.parse import urlsplit

from lakehouse.embed import worker
from lakehouse.errors import NotInstalled, Unavailable

_RETRIES = 2
_SCHEMA = "name string, embedded long"
# Texts sent to the server together.
_SENT = 16 * worker.PART


def embed(
    texts: Sequence[str], config: dict[str, Any], *, url: str, token_env: str, done: Callable[[int], None]
) -> int:
    """Have the workers of a Spark Connect server embed texts into the shared vectors.

    Args:
        texts: Each once.
        config: The settings section `embed` as plain values.
        url: Of the server, `sc://host:port`.
        token_env: Name of the environment variable with its bearer token, empty for none.
        done: Called with how many of them are there now.

    Returns:
        How many went through a model.

    Raises:
        NotInstalled: Spark's client is missing.
        Unavailable: The server does not answer, or a worker failed; files that were written are found at the next try.
    """
    # Where nothing says where Spark lies, its client ends a process that was started with `python -c`.
    os.environ.setdefault("SPARK_HOME", "")
    with warnings.catch_warnings():
        # Only Arrow goes to and fro, so it is all the same which pandas there is.
        warnings.filterwarnings("ignore", "PySpark does not yet fully support pandas", FutureWarning)
        return _embed(texts, config, url=url, token_env=token_env, done=done)


def _embed(
    texts: Sequence[str], config: dict[str, Any], *, url: str, token_env: str, done: Callable[[int], None]
) -> int:
    import pyarrow as pa

    try:
        from pyspark.errors import PySparkException
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession
    except ImportError:
        raise NotInstalled(
            "embed.spark_url is set and Spark's client is missing; run: pip install lakehouse[spark]"
        ) from None
    token = os.environ.get(token_env, "") if token_env else ""
    remote = f"{url.rstrip('/')}/;token={token}" if token else url
    embedded = 0
    try:
        session = SparkSession(connection=remote)
        try:
            # By default it would try for ten minutes before it says that nobody answers.
            session.client.set_retry_policies([DefaultPolicy(max_retries=_RETRIES, max_backoff=500)])
            for start in range(0, len(texts), _SENT):
                some = texts[start : start + _SENT]
                parts = pa.array([at // worker.PART for at in range(len(some))], pa.int32())
                frame = session.createDataFrame(pa.table({"part": parts, "text": pa.array(some, pa.string())}))
                count = -(-len(some) // worker.PART)
                work = functools.partial(worker.embed_batches, config)
                made = frame.repartition(count, "part").mapInArrow(work, _SCHEMA).toArrow()
                embedded += sum(made.column("embedded").to_pylist())
                done(start + len(some))
        finally:
            session.stop()
    except (PySparkException, OSError) as error:
        # An error of the connection has its cause behind many words of its own.
        details = getattr(error, "details", None)
        said = str(details() if callable(details) else error).strip() or type(error).__name__
        raise Unavailable(
            f"the bulk embedding on {urlsplit(url).netloc} failed: {said.splitlines()[0][:300]}; check embed.spark_url"
            " and that its server runs",
            field="embed.spark_url",
        ) from None
    return embedded
