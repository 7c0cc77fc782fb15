import pytest

from lakehouse import errors


def every_class(cls: type[errors.LakehouseError] = errors.LakehouseError) -> list[type[errors.LakehouseError]]:
    return [cls, *(deep for sub in cls.__subclasses__() for deep in every_class(sub))]


@pytest.mark.parametrize("cls", every_class()[1:])
def test_from_wire_own_body_returns_same_class(cls):
    error = cls("the field 'k' is wrong", field="k")
    back = errors.from_wire(cls.status, error.to_wire("t1"))
    assert type(back) is cls
    assert (back.message, back.detail, back.retryable) == (error.message, {"field": "k"}, cls.retryable)


def test_from_wire_goes_by_whether_to_try_again_where_code_and_status_are_those_of_several():
    body = errors.Conflict("taken").to_wire()
    assert type(errors.from_wire(409, body)) is errors.Conflict
    body["error"]["retryable"] = False
    assert type(errors.from_wire(409, body)) is errors.WrongState


@pytest.mark.parametrize("cls", every_class())
def test_docstring_tree_names_every_class_code_and_status(cls):
    row = next(line for line in errors.__doc__.splitlines() if f"{cls.__name__} " in line)
    if cls is not errors.LakehouseError:
        assert row.split()[-3:] == [cls.code, str(cls.status), "yes" if cls.retryable else "no"]


@pytest.mark.parametrize("body", [None, [], "x", {}, {"error": 1}, {"error": {"code": 7}}])
def test_from_wire_foreign_body_is_upstream(body):
    error = errors.from_wire(502, body)
    assert type(error) is errors.Upstream
    assert error.detail["status"] == 502


def test_from_wire_unknown_code_is_upstream():
    body = {"error": {"code": "no_such_code", "message": "m", "retryable": False, "detail": {}}}
    assert type(errors.from_wire(400, body)) is errors.Upstream


def test_to_wire_is_the_one_shape():
    assert errors.NotFound("no corpus 'x'", corpus="x").to_wire("abc") == {
        "error": {
            "code": "not_found",
            "message": "no corpus 'x'",
            "retryable": False,
            "detail": {"corpus": "x"},
        },
        "trace_id": "abc",
    }
