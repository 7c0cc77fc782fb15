"""How much each measure of `_role_index` and `_role_meaning` counts.

Fitted by `python -m lakehouse.evals.roles --fit` as a multinomial logit on the dev titles that do not occur in the
shipped H-2B sample; `docs/evaluations.md` has the figures, cross-validated. Two are set by hand: `exact` is 2 more
than fitted, which changes no figure there and lets an exact title win in occupations that H-2B never asks for, and
`staffing` always decides.
"""

WORDS = {
    "title": 0.87,
    "main": 1.64,
    "titles": 2.33,
    "description": 1.12,
    "exact": 3.16,
    "staffing": 20.0,
    "lead": 1.32,
    "other_grade": -0.28,
    "detail": -1.61,
    "demand": 7.86,
    "employer": 2.76,
}
WORDS_AND_MEANINGS = {
    **WORDS,
    "said": 3.5,
    "described": 4.3,
    "by_employer": 2.4,
}
