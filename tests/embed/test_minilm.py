from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lakehouse.embed import _minilm, _weights
from lakehouse.embed._minilm import MiniLM, open_minilm

TEXTS = [
    "x",
    "forklift operator",
    "Café résumé ⭐ 你好",
    "Need 3 Forklift Operators in Detroit MI starting at 06:00 for Beacon Freight",
    "welder " * 200,
    "moved pallets with reach trucks and loaded trailers; OSHA-30, CDL-A; nights and weekends in Cleveland OH",
]


@pytest.fixture(scope="module")
def weights() -> dict[str, np.ndarray]:
    return _weights.read(_weights.locate("", Path("unused"), "") / _weights.WEIGHTS)


@pytest.fixture(scope="module")
def minilm(model_cache: Path) -> Iterator[MiniLM]:
    model = open_minilm(model_path="", hub_url="", cache=model_cache, threads=2, batch_size=32)
    yield model
    model.close()


def forward(weights: dict[str, np.ndarray], ids: list[int]) -> np.ndarray:
    """BERT as published, in plain float64: embeddings, six layers, mean, unit norm."""

    def w(name: str) -> np.ndarray:
        return weights[name].astype(np.float64)

    def norm(x: np.ndarray, name: str) -> np.ndarray:
        centred = x - x.mean(axis=-1, keepdims=True)
        return centred / np.sqrt(x.var(axis=-1, keepdims=True) + 1e-12) * w(f"{name}.weight") + w(f"{name}.bias")

    def dense(x: np.ndarray, name: str) -> np.ndarray:
        return x @ w(f"{name}.weight").T + w(f"{name}.bias")

    x = w("embeddings.word_embeddings.weight")[ids]
    x = x + w("embeddings.position_embeddings.weight")[: len(ids)] + w("embeddings.token_type_embeddings.weight")[0]
    x = norm(x, "embeddings.LayerNorm")
    for layer in range(6):
        at = f"encoder.layer.{layer}"
        heads = [
            dense(x, f"{at}.attention.self.{part}").reshape(len(ids), 12, 32).transpose(1, 0, 2)
            for part in ("query", "key", "value")
        ]
        scores = heads[0] @ heads[1].transpose(0, 2, 1) / math.sqrt(32)
        shares = np.exp(scores - scores.max(axis=-1, keepdims=True))
        shares /= shares.sum(axis=-1, keepdims=True)
        mixed = (shares @ heads[2]).transpose(1, 0, 2).reshape(len(ids), 384)
        x = norm(dense(mixed, f"{at}.attention.output.dense") + x, f"{at}.attention.output.LayerNorm")
        wide = dense(x, f"{at}.intermediate.dense")
        curved = wide * 0.5 * (1 + np.vectorize(math.erf)(wide / math.sqrt(2)))
        x = norm(dense(curved, f"{at}.output.dense") + x, f"{at}.output.LayerNorm")
    pooled = x.mean(axis=0)
    return pooled / np.linalg.norm(pooled)


def test_minilm_agrees_with_a_plain_forward_pass(minilm: MiniLM, weights: dict[str, np.ndarray]) -> None:
    texts = [text[:200] for text in TEXTS]
    vectors = minilm.embed(texts)
    for vector, ids in zip(vectors, minilm.word_pieces(texts), strict=True):
        assert float(vector @ forward(weights, ids)) >= 0.999999


def test_minilm_vectors_are_unit_norm(minilm: MiniLM) -> None:
    vectors = minilm.embed(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), 384)
    assert np.allclose(np.linalg.norm(vectors.astype(np.float64), axis=1), 1.0, atol=1e-6)


def test_minilm_text_is_cut_at_256_word_pieces(minilm: MiniLM) -> None:
    long = "welder " * 300
    assert [len(ids) for ids in minilm.word_pieces([long, "x"])] == [256, 3]
    assert (minilm.embed([long])[0] == minilm.embed(["welder " * 400])[0]).all()


def test_minilm_meaning_is_kept(minilm: MiniLM) -> None:
    forklift, reach, nurse = minilm.embed(["forklift operator", "reach truck driver", "registered nurse"])
    assert float(forklift @ reach) > float(forklift @ nurse) + 0.1


@hypothesis_settings(max_examples=8, deadline=None)
@given(
    st.lists(st.sampled_from([*TEXTS[:4], "a b c", "night shift welder"]), min_size=1, max_size=9), st.integers(1, 5)
)
def test_minilm_vector_is_the_same_bytes_in_any_company(model_cache: Path, texts: list[str], batch_size: int) -> None:
    model = open_minilm(model_path="", hub_url="", cache=model_cache, threads=1, batch_size=batch_size)
    for text, vector in zip(texts, model.embed(texts), strict=True):
        assert vector.tobytes() == model.embed([text])[0].tobytes()


@pytest.mark.parametrize("pieces", [3, 4, 12, 33, 64, 130])
def test_minilm_vector_is_the_same_bytes_in_any_batch(minilm: MiniLM, model_cache: Path, pieces: int) -> None:
    words = "night shift work nurse cook driver house".split()
    rng = np.random.default_rng(pieces)
    texts = [" ".join(rng.choice(words, pieces - 2)) for _ in range(7)]
    alone = [minilm.embed([text])[0].tobytes() for text in texts]
    assert {len(ids) for ids in minilm.word_pieces(texts)} == {pieces}
    for batch_size, threads in ((1, 1), (2, 1), (3, 2), (7, 1)):
        other = open_minilm(model_path="", hub_url="", cache=model_cache, threads=threads, batch_size=batch_size)
        assert [vector.tobytes() for vector in other.embed(texts)] == alone
        other.close()


def test_minilm_several_threads_at_once_agree(minilm: MiniLM) -> None:
    expected = minilm.embed(TEXTS).tobytes()
    answers: list[bytes] = []
    threads = [threading.Thread(target=lambda: answers.append(minilm.embed(TEXTS).tobytes())) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [expected] * 4


def test_open_minilm_second_time_needs_no_weights(
    model_cache: Path, minilm: MiniLM, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_minilm._weights, "PACKAGE", "no_such_package_anywhere")
    model = open_minilm(model_path="", hub_url="", cache=model_cache, threads=1, batch_size=1)
    assert (model.embed(["x"]) == minilm.embed(["x"])).all()
