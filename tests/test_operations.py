import pytest

from lakehouse import operations
from lakehouse.errors import InvalidInput


def named(name: str) -> operations.Operation:
    return next(operation for operation in operations.OPERATIONS if operation.name == name)


def test_operations_names_and_routes_are_unique():
    names = [operation.name for operation in operations.OPERATIONS]
    routes = [(operation.verb, operation.path, operation.accept) for operation in operations.OPERATIONS]
    assert len(set(names)) == len(names)
    assert len(set(routes)) == len(routes)


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
def test_operation_signature_holds_its_path_query_and_raw_arguments(operation):
    fields = operations.request_type(operation).__struct_fields__
    assert set(operation.path_arguments) <= set(fields)
    assert set(operation.query) <= set(fields)
    assert operation.raw == "" or operation.raw in fields


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
def test_operation_method_has_docstring_and_answer_type(operation):
    assert operations.function(operation).__doc__
    assert operations.answer_type(operation) is not None


def test_arguments_defaults_are_filled_in():
    checked = operations.arguments(named("matrix.search"), {"query_text": "cook", "corpora": ["workers"]})
    assert checked["k"] == 10
    assert checked["use_playbook"] is False
    assert checked["filter"] is None


@pytest.mark.parametrize(
    ("values", "field", "says"),
    [
        ({"query": "cook", "corpora": ["w"]}, "query", "did you mean 'query_text'"),
        ({"query_text": "cook", "corpora": ["w"], "role": "cook"}, "role", "did you mean 'query_role'"),
        # A few letters in common are no likeness: these were taken for `filter` and `rate`.
        ({"query_text": "cook", "corpora": ["w"], "size": 3}, "size", "'size' for matrix.search; known: query_text, "),
        ({"query_text": "cook", "corpora": ["w"], "where": {}}, "where", "; known: query_text, "),
        ({"corpora": ["w"]}, "query_text", "needs the field"),
        ({"query_text": "cook", "corpora": ["w"], "k": 0}, "k", ">= 1"),
        ({"query_text": "cook", "corpora": ["w"], "k": 10_001}, "k", "<= 10000"),
        ({"query_text": "cook", "corpora": ["w"], "k": "3"}, "k", "int"),
        ({"query_text": "cook", "corpora": []}, "corpora", "length"),
        ({"query_text": "cook", "corpora": ["w"], "filter": {"mist": []}}, "mist", "unknown field"),
        ({"query_text": "cook", "corpora": ["w"], "playbook": "a/b"}, "playbook", "matching regex"),
    ],
)
def test_arguments_bad_value_names_the_field(values, field, says):
    with pytest.raises(InvalidInput) as caught:
        operations.arguments(named("matrix.search"), values)
    assert caught.value.detail["field"] == field
    assert says in caught.value.message


def test_arguments_wrong_sql_field_suggests_the_right_one():
    with pytest.raises(InvalidInput, match="did you mean 'sql'"):
        operations.arguments(named("sql.query"), {"q": "select 1"})


def test_arguments_python_keyword_is_taken_in_both_spellings():
    operation = named("playbooks.handover")
    for name in ("from", "from_"):
        checked = operations.arguments(operation, {name: "a", "to": "b", "mode": "copy"})
        assert checked == {"from_": "a", "to": "b", "mode": "copy", "client": ""}


def test_arguments_not_strict_reads_numbers_and_booleans_from_text():
    checked = operations.arguments(
        named("ingest.file"), {"source": b"id\n1\n", "name": "people", "quarantine": "true"}, strict=False
    )
    assert checked["quarantine"] is True
    assert checked["source"] == b"id\n1\n"
