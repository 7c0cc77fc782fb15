"""A multinomial logit over a fixed list of outcomes: a few weights that join measures into one score."""

from __future__ import annotations

import numpy as np

_STEPS = 50
_CLOSE = 1e-5


def fit(measures: np.ndarray, right: np.ndarray, *, ridge: float = 1e-4) -> np.ndarray:
    """Return the weights that make the right outcomes most likely.

    Where several outcomes are right, their chances add up. Newton's method; every step is halved until the
    likelihood grows, so the same input gives the same weights.

    Args:
        measures: `(cases, measures, outcomes)` float32.
        right: `(cases, outcomes)` bool, at least one true a case.
        ridge: Weight of the squared weights in the loss per case.

    Returns:
        `(measures,)` float64.
    """
    weights = np.zeros(measures.shape[1])
    best = _loss(measures, right, weights, ridge)
    for _ in range(_STEPS):
        gradient, curvature = _slope(measures, right, weights, ridge)
        step = np.linalg.solve(curvature, gradient)
        size = 1.0
        while (loss := _loss(measures, right, weights - size * step, ridge)) > best and size > _CLOSE:
            size /= 2
        if best - loss < _CLOSE:
            break
        weights, best = weights - size * step, loss
    return weights


def folds(groups: list[object], count: int) -> np.ndarray:
    """Return a fold for each case, `(cases,)`; cases of one group share it, groups take turns in their order."""
    at = {group: number % count for number, group in enumerate(dict.fromkeys(groups))}
    return np.array([at[group] for group in groups])


def _chances(measures: np.ndarray, weights: np.ndarray) -> np.ndarray:
    values = np.einsum("cmo,m->co", measures, weights.astype(np.float32))
    odds = np.exp(values - values.max(axis=1, keepdims=True))
    return np.asarray(odds / odds.sum(axis=1, keepdims=True))


def _loss(measures: np.ndarray, right: np.ndarray, weights: np.ndarray, ridge: float) -> float:
    chance = (_chances(measures, weights) * right).sum(axis=1)
    return float(-np.log(np.maximum(chance, 1e-30)).mean() + ridge * weights @ weights)


def _slope(measures: np.ndarray, right: np.ndarray, weights: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray]:
    """Return gradient and curvature of the loss; which right outcome was meant is taken as known in the latter."""
    chances = _chances(measures, weights)
    meant = chances * right
    meant /= np.maximum(meant.sum(axis=1, keepdims=True), 1e-30)
    gradient = np.zeros(len(weights))
    curvature = np.zeros((len(weights), len(weights)))
    for case, chance, among in zip(measures, chances, meant, strict=True):
        mean = case @ chance
        gradient += mean - case @ among
        curvature += (case * chance) @ case.T - np.outer(mean, mean)
    count = len(measures)
    return gradient / count + 2 * ridge * weights, curvature / count + 2 * ridge * np.eye(len(weights))
