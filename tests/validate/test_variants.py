import pytest

from lakehouse.errors import InvalidInput
from lakehouse.validate import variants
from lakehouse.validate.variants import Refusal

EACH = [
    (Refusal("Schema", "y", "x"), {"Schema": {"field": "x", "reason": "y"}}),
    (Refusal("Completeness", "y"), {"Completeness": {"reason": "y"}}),
    (Refusal("Consistency", "y"), {"Consistency": {"reason": "y"}}),
    (Refusal("Policy", "y"), {"Policy": {"reason": "y"}}),
]


@pytest.mark.parametrize(("refusal", "body"), EACH)
def test_variant_object_is_written_and_read_back(refusal, body):
    assert variants.write(refusal) == body
    assert variants.read(body) == refusal
    assert variants.failure(refusal).to_wire("trace") == body


@pytest.mark.parametrize(("refusal", "_body"), EACH)
@pytest.mark.parametrize("spell", [str, str.lower])
def test_variant_legacy_flat_form_is_read(refusal, _body, spell):
    flat = {"Kind": spell(refusal.variant), "Field": refusal.field, "Reason": refusal.reason}
    assert variants.read(flat) == refusal


@pytest.mark.parametrize(
    "body",
    [
        {"Novelty": {"reason": "y"}},
        {"Kind": "novelty", "Field": "", "Reason": "y"},
        {"Policy": {"reason": "y"}, "Schema": {"field": "x", "reason": "y"}},
        {"Policy": {}},
        {"Policy": {"reason": 1}},
        {"Policy": {"reason": "y", "field": "x"}},
        {"Schema": {"reason": "y"}},
        {"Kind": "policy", "Reason": "y", "More": ""},
        {"Kind": None},
        {},
        [],
        None,
    ],
)
def test_variant_unknown_or_misshapen_body_is_an_error(body):
    with pytest.raises(InvalidInput):
        variants.read(body)
