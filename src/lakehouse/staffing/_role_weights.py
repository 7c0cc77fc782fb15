"""How much each measure of `_role_index` and `_role_meaning` counts.

Fitted by `python -m lakehouse.evals.roles --fit` as a multinomial logit on the dev titles that do not occur in the
shipped H-2B sample; `docs/evaluations.md` has the figures, cross-validated. Two are set by hand: `exact` is 2 more
than fitted, which changes no figure there and lets an exact title win in occupations that H-2B never asks for, and
`staffing` always decides.
"""

WORDS = {
    "title": 0.86,
    "main": 1.68,
    "titles": 2.33,
    "description": 1.09,
    "exact": 3.16,
    "staffing": 20.0,
    "lead": 1.32,
    "other_grade": -0.27,
    "detail": -1.58,
    "demand": 7.87,
    "employer": 2.76,
}
WORDS_AND_MEANINGS = {
    "title": -0.17,
    "main": 0.34,
    "titles": 1.33,
    "description": 0.54,
    "exact": 3.04,
    "staffing": 20.0,
    "lead": 1.04,
    "other_grade": -0.31,
    "detail": -1.42,
    "demand": 6.20,
    "employer": -0.38,
    "said": 3.27,
    "described": 4.66,
    "by_employer": 4.93,
}
