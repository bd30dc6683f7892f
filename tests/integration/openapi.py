"""Holds replies against doc/openapi.yaml: what isn't described there must not happen."""
import functools
import pathlib
import re

import jsonschema
import yaml

FILE = pathlib.Path(__file__).resolve().parents[2] / "doc" / "openapi.yaml"
# Refusals that come before routing, and may come for any path: bad framing, no such path or method, and sizes.
ANYWHERE = (400, 404, 405, 413, 414, 415, 429, 431, 503)


@functools.lru_cache(maxsize=None)
def document():
    return yaml.safe_load(FILE.read_text())


@functools.lru_cache(maxsize=None)
def paths():
    """[(pattern, operations)]"""
    return [(re.compile("^" + re.sub(r"\{[^}]+\}", "[^/]+", path) + "$"), item)
            for path, item in document()["paths"].items()]


def resolve(value):
    while isinstance(value, dict) and "$ref" in value:
        target = document()
        for step in value["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        value = target
    return value


@functools.lru_cache(maxsize=None)
def validator(pointer):
    """For the schema at a pointer, a tuple of steps from the document's root."""
    schema = document()
    for step in pointer:
        schema = resolve(schema)[step]
    return jsonschema.Draft202012Validator(
        schema, resolver=jsonschema.RefResolver(base_uri="", referrer=document()))


def complaints(method, path, response):
    """What is wrong with a reply, as a list of texts."""
    path, status = path.split("?")[0], response.status_code
    item = next((item for pattern, item in paths() if pattern.match(path)), None)
    name = "get" if method.upper() == "HEAD" else method.lower()
    operation = (item or {}).get(name)
    if status in ANYWHERE and "X-Request-Id" not in response.headers:
        return []  # evhttp's own refusal, before there is a request
    if operation is None or str(status) not in operation["responses"]:
        if operation is not None and status not in ANYWHERE:
            return [f"{method} {path}: {status} is not described"]
        return problem_complaints(response) if status >= 400 and method.upper() != "HEAD" else []
    return list(described_complaints(method, path, name, response))


def problem_complaints(response):
    if response.headers.get("Content-Type", "").split(";")[0] != "application/problem+json":
        return [f"{response.status_code} is no problem document"]
    return [error.message for error in validator(("components", "schemas", "Problem")).iter_errors(response.json())]


def described_complaints(method, path, name, response):
    key = next(key for key in document()["paths"] if re.match("^" + re.sub(r"\{[^}]+\}", "[^/]+", key) + "$", path))
    base = ("paths", key, name, "responses", str(response.status_code))
    described = document()
    for step in base:
        described = resolve(described)[step]
    described = resolve(described)
    where = f"{method} {path} -> {response.status_code}"
    for header, description in described.get("headers", {}).items():
        description = resolve(description)
        value = response.headers.get(header)
        if value is None:
            if description.get("required"):
                yield f"{where}: there is no {header}"
        else:
            for error in validator((*base, "headers", header, "schema")).iter_errors(value):
                yield f"{where}: {header}: {error.message}"
    content, kind = described.get("content", {}), response.headers.get("Content-Type", "").split(";")[0]
    if not content:
        if response.content:
            yield f"{where}: a body, where there should be none"
    elif kind not in content:
        yield f"{where}: {kind!r} is none of {list(content)}"
    elif method.upper() != "HEAD" and kind != "text/event-stream":
        body = response.json() if kind.endswith("json") else response.text
        for error in validator((*base, "content", kind, "schema")).iter_errors(body):
            yield f"{where}: {error.json_path}: {error.message}"


def check(method, path, response):
    found = complaints(method, path, response)
    assert not found, "not as doc/openapi.yaml has it: " + "; ".join(found)
