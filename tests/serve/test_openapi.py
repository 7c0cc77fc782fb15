import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from lakehouse import operations
from lakehouse.serve import openapi, services


@pytest.fixture(scope="module")
def description():
    return openapi.describe(operations.OPERATIONS)


def test_openapi_description_is_valid(description):
    OpenAPIV31SpecValidator(description).validate()


@pytest.mark.parametrize("service", [service.name for service in services.SERVICES])
def test_openapi_description_of_one_service_is_valid_and_has_no_prefix(service):
    description = openapi.describe(services.operations_of([service]), server_prefix="")
    OpenAPIV31SpecValidator(description).validate()
    assert not any(path.startswith("/v1") for path in description["paths"])


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
def test_openapi_has_every_operation_with_words(description, operation):
    entry = description["paths"][operation.path.replace(":path}", "}")][operation.verb.lower()]
    assert entry["summary"]
    assert str(operation.status) in entry["responses"]
    if operation.accept:
        assert operation.accept in entry["responses"][str(operation.status)]["content"]
    else:
        assert entry["operationId"] == operation.name


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
def test_openapi_every_argument_stands_in_one_place(description, operation):
    entry = description["paths"][operation.path.replace(":path}", "}")][operation.verb.lower()]
    places = [parameter["name"] for parameter in entry["parameters"] if parameter["in"] != "header"]
    content = entry.get("requestBody", {}).get("content", {})
    places += content.get("application/json", {}).get("schema", {}).get("properties", {})
    expected = {name.rstrip("_") for name in operations.request_type(operation).__struct_fields__}
    expected -= {operation.raw, "content_type"} if operation.raw else set()
    assert sorted(places) == sorted(expected)
    assert bool(operation.raw) is ("application/octet-stream" in content)


def test_openapi_bounds_come_from_the_signature(description):
    body = description["paths"]["/v1/matrix/search"]["post"]["requestBody"]["content"]["application/json"]["schema"]
    assert body["additionalProperties"] is False
    assert set(body["required"]) == {"query_text", "corpora"}
    assert (body["properties"]["k"]["minimum"], body["properties"]["k"]["maximum"]) == (1, 10_000)


def test_openapi_has_the_older_way_to_embed_where_texts_are_embedded(description):
    older, texts = (description["paths"][path]["post"] for path in ("/ai/embed", "/v1/embed"))
    assert older["requestBody"] == texts["requestBody"]
    name = older["responses"]["200"]["content"]["application/json"]["schema"]["$ref"].rpartition("/")[2]
    assert {*description["components"]["schemas"][name]["properties"]} == {"embeddings", "dimensions"}
    for service in ("embedd", "vectord"):
        alone = openapi.describe(services.operations_of([service]), server_prefix="")
        assert ("/ai/embed" in alone["paths"]) is (service == "embedd")


def test_services_every_operation_belongs_to_exactly_one():
    owners = [service.name for service in services.SERVICES for _ in services.operations_of([service.name])]
    assert len(owners) == len(operations.OPERATIONS)
