"""doc/openapi.yaml itself: a sound document that describes all routes. (That replies are as it says is
checked at every request of every test: conftest.Api.request.)"""
import pathlib
import re
import types

import jsonschema
import pytest

import openapi

ROOT = pathlib.Path(__file__).resolve().parents[2]


def routes():
    """(method, path) of src/broker/routes.c, in OpenAPI's spelling."""
    text = (ROOT / "src" / "broker" / "routes.c").read_text().split("public_routes[]")[1].split("};")[0]
    return {(method.lower(), re.sub(r":(\w+)", r"{\1}", path)) for method, path in re.findall(r'HTTP_(\w+),\s+"([^"]+)"', text)}


def test_it_describes_every_route():
    described = {(method, path) for path, item in openapi.document()["paths"].items()
                 for method in item if method != "parameters"}
    # the stream is one of two ways to read the same resource, and may be served by the poll's route
    assert described - routes() <= {("get", "/api/interviews/by-session/{sessionId}/events")}
    assert routes() <= described, routes() - described


def test_references_lead_somewhere_and_schemas_are_schemas():
    def walk(value):
        if isinstance(value, dict):
            if "$ref" in value:
                assert openapi.resolve(value) is not None
            for key, each in value.items():
                if key == "schema":
                    jsonschema.Draft202012Validator.check_schema(each)
                walk(each)
        elif isinstance(value, list):
            for each in value:
                walk(each)
    walk(openapi.document())
    for each in openapi.document()["components"]["schemas"].values():
        jsonschema.Draft202012Validator.check_schema(each)
    ids = [operation["operationId"] for item in openapi.document()["paths"].values()
           for method, operation in item.items() if method != "parameters"]
    assert len(ids) == len(set(ids))


def reply(status, body, kind="application/json", **headers):
    return types.SimpleNamespace(status_code=status, headers={"Content-Type": kind, "X-Request-Id": "1", **headers},
                                 content=b"x", text=str(body), json=lambda: body)


POLL = {"interviewId": None, "conversationId": None, "status": "started", "evaluationStatus": None, "reason": None}
POLL_HEADERS = {"ETag": '"1"', "Cache-Control": "no-store"}


@pytest.mark.parametrize("path, answer", [
    ("/api/interviews/by-session/x", reply(200, {**POLL, "more": 1}, **POLL_HEADERS)),
    ("/api/interviews/by-session/x", reply(200, {**POLL, "status": "done"}, **POLL_HEADERS)),
    ("/api/interviews/by-session/x", reply(200, POLL)),
    ("/api/interviews/by-session/x", reply(202, POLL, **POLL_HEADERS)),
    ("/api/interviews/by-session/x", reply(200, POLL, kind="text/html", **POLL_HEADERS)),
    ("/api/interviews/by-session/x?wait=1", reply(404, {"title": "x"}, kind="application/problem+json")),
    ("/api/interviews/by-session/x", reply(401, {"type": "", "title": "", "status": 401, "detail": "", "requestId": "1"},
                                           kind="application/problem+json")),
])
def test_it_can_fail(path, answer):
    assert openapi.complaints("GET", path, answer)


def test_it_can_pass():
    assert not openapi.complaints("GET", "/api/interviews/by-session/x", reply(200, POLL, **POLL_HEADERS))
