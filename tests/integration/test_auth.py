"""Bearer tokens: which are believed, and every way in which a JWT library lets one slip through."""

import base64
import hashlib
import hmac
import json
import time
import uuid

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

import model
from support import assert_problem, eventually

LEEWAY_SECS = 30


def b64(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def number64(number, size=None):
    return b64(number.to_bytes(size or (number.bit_length() + 7) // 8, "big"))


def now():
    return int(time.time())


def claims(**more):
    content = {"sub": str(uuid.uuid4()), "iat": now(), "exp": now() + 3600, **more}
    return {name: value for name, value in content.items() if value is not ...}


def hs256(secret, header=None, payload=None, digest=hashlib.sha256):
    """A token with exactly this header and payload (bytes, or a dict), signed with an HMAC."""
    header = {"alg": "HS256", "typ": "JWT"} if header is None else header
    payload = claims() if payload is None else payload
    parts = [part if isinstance(part, bytes) else json.dumps(part).encode() for part in (header, payload)]
    text = ".".join(b64(part) for part in parts)
    key = secret if isinstance(secret, bytes) else secret.encode()
    return text + "." + b64(hmac.new(key, text.encode(), digest).digest())


def signed(key, alg, payload=None, **header):
    return jwt.encode(payload or claims(), key, algorithm=alg, headers=header or None)


def public_pem(key):
    return key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def rsa_key():
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def ec_key(curve=None):
    return ec.generate_private_key(curve or ec.SECP256R1())


def rsa_jwk(key, **more):
    numbers = key.public_key().public_numbers()
    return {"kty": "RSA", "n": number64(numbers.n), "e": number64(numbers.e), **more}


def ec_jwk(key, **more):
    numbers = key.public_key().public_numbers()
    size = (key.curve.key_size + 7) // 8
    curve = {256: "P-256", 384: "P-384"}[key.curve.key_size]
    return {"kty": "EC", "crv": curve, "x": number64(numbers.x, size), "y": number64(numbers.y, size), **more}


def ask(api, token, node=0, headers=None):
    """A request that asks for nothing but who is asking: 404 for a known user, else 401."""
    path = f"/api/interviews/by-session/{uuid.uuid4()}"
    given = {"Authorization": f"Bearer {token}"} if token is not None else {}
    return api.request("GET", path, node, headers={**given, **(headers or {})})


def assert_believed(api, token, node=0, why=""):
    answer = ask(api, token, node)
    assert answer.status_code == 404, f"{why}: {answer.status_code} {answer.text} {answer.headers.get('WWW-Authenticate')}"


def assert_refused(api, token, node=0, why="", headers=None):
    answer = ask(api, token, node, headers)
    assert answer.status_code == 401, f"{why}: {answer.status_code} {answer.text}"
    assert_problem(answer, 401)
    challenge = answer.headers.get("WWW-Authenticate", "")
    assert challenge.startswith("Bearer"), f"{why}: WWW-Authenticate is {challenge!r}"
    assert 'error="' in challenge, f"{why}: WWW-Authenticate is {challenge!r}"
    if token:
        assert token not in answer.text and token not in challenge


@pytest.fixture(scope="module")
def keys_path(shared_scratch):
    return shared_scratch.directory("keys", mode=0o755)


@pytest.fixture(scope="module")
def rsa_node(lab, keys_path):
    key = rsa_key()
    (keys_path / "rsa.pem").write_bytes(public_pem(key))
    with lab.node(jwt_secret=None, jwt_public_key_file=keys_path / "rsa.pem") as node:
        yield node, key


@pytest.fixture(scope="module")
def ec_node(lab, keys_path):
    key = ec_key()
    (keys_path / "ec.pem").write_bytes(public_pem(key))
    with lab.node(jwt_secret=None, jwt_public_key_file=keys_path / "ec.pem") as node:
        yield node, key


# ── HS256 ───────────────────────────────────────────────────────────────────


def test_hs256(api, lab):
    assert_believed(api, hs256(lab.jwt_secret))
    assert_believed(api, hs256(lab.jwt_secret, {"alg": "HS256"}), why="typ may be missing")
    assert_refused(api, hs256(lab.jwt_secret + "x"), why="another secret")
    assert_refused(api, hs256(b""), why="no secret")


def test_a_user_is_the_same_in_either_case(api, lab):
    user, sid = str(uuid.uuid4()), str(uuid.uuid4())
    assert api.save(user, sid).status_code == 200
    answer = api.request(
        "GET",
        f"/api/interviews/by-session/{sid}",
        headers={"Authorization": "Bearer " + hs256(lab.jwt_secret, payload=claims(sub=user.upper()))},
    )
    assert answer.status_code == 200


def test_without_a_token(api):
    assert_refused(api, None, why="no header")
    for header in ("Bearer", "Bearer ", "Basic dXNlcjpwYXNz", "Bearer\t", "token", ""):
        assert_refused(api, None, why=header, headers={"Authorization": header})


def test_the_old_secret_header_is_no_authentication(api, lab):
    for secret in ("x", lab.secret, lab.jwt_secret, lab.service_token):
        assert_refused(api, None, why="x-api-secret", headers={"x-api-secret": secret})
    body = {"client_session_id": str(uuid.uuid4()), "user_id": str(uuid.uuid4())}
    answer = api.request("POST", "/api/save-interview", headers={"x-api-secret": lab.jwt_secret}, json=body)
    assert_problem(answer, 401)


def test_the_scheme_is_read_without_case(api, lab):
    token = hs256(lab.jwt_secret)
    for scheme in ("bearer", "BEARER"):
        assert ask(api, None, headers={"Authorization": f"{scheme} {token}"}).status_code == 404


@pytest.mark.parametrize(
    "garbage",
    ["x", ".", "..", "...", "a.b.c", "a.b", "e30.e30.e30", "e30.e30.", "%00", "ey" * 2000, "é", "null", '{"alg":"none"}'],
)
def test_what_is_no_token(api, garbage):
    assert_refused(api, garbage.encode("utf-8").decode("latin-1"), why=garbage[:20])


def test_a_signature_covers_all_of_a_token(api, lab):
    token = hs256(lab.jwt_secret)
    header, payload, signature = token.split(".")
    other = b64(json.dumps(claims()).encode())
    for why, wrong in {
        "another payload": f"{header}.{other}.{signature}",
        "no signature": f"{header}.{payload}.",
        "two parts": f"{header}.{payload}",
        "a short signature": f"{header}.{payload}.{signature[:-4]}",
        "a long signature": f"{token}AAAA",
        "a fourth part": f"{token}.{signature}",
        "the signature first": f"{signature}.{header}.{payload}",
        "padding": f"{header}.{payload}.{signature}=",
        "a space": f"{header}. {payload}.{signature}",
        "a bit of the signature": f"{header}.{payload}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}",
    }.items():
        assert_refused(api, wrong, why=why)


@pytest.mark.parametrize(
    "alg", ["none", "None", "NONE", "hs256", "Hs256", "HS384", "HS512", "", "RS256", "ES256", "HS256 ", "HS256\u0000"]
)
def test_other_algorithms(api, lab, alg):
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
    header = {"alg": alg, "typ": "JWT"}
    assert_refused(api, hs256(lab.jwt_secret, header, digest=digest), why=alg)
    assert_refused(api, hs256(b"", header), why=f"{alg} with an empty key")
    unsigned = ".".join(hs256(lab.jwt_secret, header).split(".")[:2]) + "."
    assert_refused(api, unsigned, why=f"{alg} unsigned")


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"alg": None},
        {"alg": 256},
        {"alg": ["HS256"]},
        {"ALG": "HS256"},
        {"alg": "HS256", "kid": 7},
        {"alg": "HS256", "kid": ["a"]},
        {"alg": "HS256", "crit": ["exp"], "exp": 1},
        {"alg": "HS256", "crit": ["b64"], "b64": False},
        b'{"alg":"none","alg":"none"}',
        b'{"alg":"HS256","alg":"none"}',
        b"[]",
        b'"HS256"',
        b"\xff",
        b"",
        b"[" * 5000,
    ],
)
def test_odd_headers(api, lab, header):
    assert_refused(api, hs256(lab.jwt_secret, header), why=str(header)[:60])


# ── claims ──────────────────────────────────────────────────────────────────


def test_exp_has_30_seconds_of_leeway(api, lab):
    assert_believed(api, hs256(lab.jwt_secret, payload=claims(exp=now() - LEEWAY_SECS + 5)))
    assert_refused(api, hs256(lab.jwt_secret, payload=claims(exp=now() - LEEWAY_SECS - 5)))


def test_nbf_has_30_seconds_of_leeway(api, lab):
    assert_believed(api, hs256(lab.jwt_secret, payload=claims(nbf=now() - 100)))
    assert_believed(api, hs256(lab.jwt_secret, payload=claims(nbf=now() + LEEWAY_SECS - 5)))
    assert_refused(api, hs256(lab.jwt_secret, payload=claims(nbf=now() + LEEWAY_SECS + 5)))


def test_a_believed_token_expires(api, lab):
    """Remembered tokens are remembered until their exp only."""
    token = hs256(lab.jwt_secret, payload=claims(exp=now() - LEEWAY_SECS + 2))
    assert_believed(api, token)
    eventually(lambda: ask(api, token).status_code == 401, 6, "the token to expire")


@pytest.mark.parametrize(
    "wrong",
    [
        {"exp": ...},
        {"exp": None},
        {"exp": "9999999999"},
        {"exp": True},
        {"exp": []},
        {"exp": {}},
        {"exp": 0},
        {"exp": -1},
        {"exp": 1e300},
        {"exp": 10**30},
        {"exp": now() * 1000},
        {"nbf": "0"},
        {"nbf": True},
        {"nbf": None},
        {"nbf": []},
        {"nbf": 10**30},
        {"sub": ...},
        {"sub": None},
        {"sub": 7},
        {"sub": ""},
        {"sub": "ana"},
        {"sub": ["00000000-0000-4000-8000-000000000000"]},
        {"sub": "00000000000040008000000000000000"},
        {"sub": "{00000000-0000-4000-8000-000000000000}"},
        {"sub": "00000000-0000-4000-8000-00000000000g"},
        {"sub": "00000000-0000-4000-8000-000000000000 "},
        {"sub": "00000000-0000-4000-8000-000000000000\u0000"},
    ],
    ids=str,
)
def test_claims_are_type_checked(api, lab, wrong):
    assert_refused(api, hs256(lab.jwt_secret, payload=claims(**wrong)), why=str(wrong))


@pytest.mark.parametrize("payload", [b"[]", b"null", b'"x"', b"", b"{", b"[" * 5000, b"\xff"])
def test_payloads_that_are_no_object(api, lab, payload):
    assert_refused(api, hs256(lab.jwt_secret, payload=payload), why=str(payload)[:30])


def test_tokens_over_8_kib(api, lab):
    """8 KiB are enough for anyone; longer ones are refused whoever signed them."""
    small = hs256(lab.jwt_secret, payload=claims(pad="x" * 5000))
    assert len(small) < 8192
    assert_believed(api, small)
    large = hs256(lab.jwt_secret, payload=claims(pad="x" * 7000))
    assert len(large) > 8192
    assert ask(api, large).status_code in (400, 401, 431)
    assert ask(api, "x" * 100_000).status_code in (400, 401, 431)


def test_without_configuration_aud_and_iss_may_be_anything(api, lab):
    for more in ({"aud": "x"}, {"aud": ["x", "y"]}, {"iss": "z"}, {"aud": 7}):
        assert_believed(api, hs256(lab.jwt_secret, payload=claims(**more)), why=str(more))


def test_aud_and_iss(api, lab):
    with lab.node(jwt_audience="debrief", jwt_issuer="https://id.example/") as node:
        right = {"aud": "debrief", "iss": "https://id.example/"}
        for more in (right, {**right, "aud": ["debrief"]}, {**right, "aud": ["other", "debrief"]}):
            assert_believed(api, hs256(lab.jwt_secret, payload=claims(**more)), node, str(more))
        for wrong in (
            {"aud": ...},
            {"aud": None},
            {"aud": ""},
            {"aud": "Debrief"},
            {"aud": "debrief "},
            {"aud": "debrief\u0000"},
            {"aud": "other"},
            {"aud": []},
            {"aud": ["other"]},
            {"aud": [["debrief"]]},
            {"aud": {"debrief": 1}},
            {"aud": 7},
            {"iss": ...},
            {"iss": "https://id.example"},
            {"iss": ["https://id.example/"]},
            {"iss": None},
            {"iss": 7},
        ):
            content = claims(**{**right, **wrong})
            assert_refused(api, hs256(lab.jwt_secret, payload=content), node, str(wrong))


# ── RS256 and ES256, PEM ────────────────────────────────────────────────────


def test_rs256(api, rsa_node):
    node, key = rsa_node
    assert_believed(api, signed(key, "RS256"), node)
    assert_believed(api, signed(key, "RS256", kid="whatever"), node, "one key alone needs no kid")
    assert_refused(api, signed(rsa_key(), "RS256"), node, "another key")
    for alg in ("RS384", "RS512", "PS256"):
        assert_refused(api, signed(key, alg), node, alg)
    assert_refused(api, signed(ec_key(), "ES256"), node, "ES256 where the key is RSA")
    assert_refused(api, signed(key, "RS256", claims(exp=now() - 60)), node, "expired")


def test_es256(api, ec_node):
    node, key = ec_node
    assert_believed(api, signed(key, "ES256"), node)
    assert_refused(api, signed(ec_key(), "ES256"), node, "another key")
    assert_refused(api, signed(rsa_key(), "RS256"), node, "RS256 where the key is EC")
    header, payload, signature = signed(key, "ES256").split(".")
    for wrong in (b"\0" * 64, b"", b"\0" * 63, b"\xff" * 64, b"\0" * 4096):
        assert_refused(api, f"{header}.{payload}.{b64(wrong)}", node, f"a signature of {len(wrong)} bytes")
    assert_refused(api, f"{header}.{payload}.{signature}AA", node, "a longer signature")


@pytest.mark.parametrize("which", ["rsa_node", "ec_node"])
@pytest.mark.parametrize("alg", ["HS256", "hs256", "HS384", "HS512", "none"])
def test_algorithm_confusion(api, request, which, alg):
    """HMAC with the public key as its secret: everyone has that "secret"."""
    node, key = request.getfixturevalue(which)
    pem = public_pem(key)
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
    secrets = [pem, pem.strip(), pem + b"\0", pem.replace(b"\n", b"\r\n"), b"", b"\0"]
    secrets.append(b"".join(pem.splitlines()[1:-1]))
    for secret in secrets:
        for header in ({"alg": alg, "typ": "JWT"}, {"alg": alg}):
            assert_refused(api, hs256(secret, header, digest=digest), node, f"{alg} with {secret[:20]!r}…")


@pytest.mark.parametrize("which,real", [("rsa_node", "RS256"), ("ec_node", "ES256")])
def test_headers_that_say_two_algorithms(api, request, which, real):
    """One reader takes the first of two equal names, the other the last."""
    node, key = request.getfixturevalue(which)
    pem = public_pem(key)
    for header in (
        f'{{"alg":"{real}","alg":"HS256"}}',
        f'{{"alg":"HS256","alg":"{real}"}}',
        f'{{"alg":"HS256","\\u0061lg":"{real}"}}',
        f'{{"alg":"{real}","ALG":"HS256"}}',
        f'{{"alg":"none","alg":"{real}"}}',
    ):
        assert_refused(api, hs256(pem, header.encode()), node, header)


def test_keys_that_a_node_must_not_start_with(api, lab, keys_path):
    """Each refusal names the setting."""
    from support import run_debrief, told

    weak = keys_path / "weak.pem"
    weak.write_bytes(public_pem(rsa.generate_private_key(public_exponent=65537, key_size=1024)))
    curve = keys_path / "p384.pem"
    curve.write_bytes(public_pem(ec_key(ec.SECP384R1())))
    garbage = keys_path / "garbage.pem"
    garbage.write_text("-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n")
    pem = public_pem(rsa_key()).decode()
    for option, value in (
        ("jwt_secret", "x" * 31),
        ("jwt_secret", pem),
        ("jwt_public_key_file", weak),
        ("jwt_public_key_file", curve),
        ("jwt_public_key_file", garbage),
        ("jwt_public_key_file", keys_path / "missing.pem"),
        ("jwt_jwks_file", garbage),
    ):
        options = {**lab.base_options(), "jwt_secret": None, "listen": "127.0.0.1:0", option: value}
        for command in ("check-config", "serve"):
            done = run_debrief(lab, command, options=options, timeout=20)
            assert done.returncode == 1, f"{option}={str(value)[:40]}, {command}: {told(done)}"
            assert option in done.stderr.lower(), told(done)


def test_a_node_without_any_key(lab):
    from support import run_debrief, told

    done = run_debrief(lab, "check-config", options={**lab.base_options(), "jwt_secret": None})
    assert done.returncode == 1 and "jwt_" in done.stderr, told(done)


# ── JWKS ────────────────────────────────────────────────────────────────────


def test_jwks(api, lab, keys_path):
    r1, r2, e1 = rsa_key(), rsa_key(), ec_key()
    path = keys_path / "jwks.json"
    path.write_text(
        json.dumps(
            {
                "keys": [
                    rsa_jwk(r1, kid="r1", use="sig", alg="RS256"),
                    rsa_jwk(r2, kid="r2"),
                    ec_jwk(e1, kid="e1"),
                    ec_jwk(ec_key(ec.SECP384R1()), kid="other-curve"),
                    {"kty": "OKP", "crv": "Ed25519", "x": b64(b"x" * 32), "kid": "okp"},
                    rsa_jwk(rsa_key(), kid="enc", use="enc"),
                ]
            }
        )
    )
    with lab.node(jwt_secret=None, jwt_jwks_file=path) as node:
        assert_believed(api, signed(r1, "RS256", kid="r1"), node, "r1")
        assert_believed(api, signed(r2, "RS256", kid="r2"), node, "r2")
        assert_believed(api, signed(e1, "ES256", kid="e1"), node, "e1")
        assert_believed(api, signed(e1, "ES256"), node, "no kid, but only one key for ES256")
        assert_refused(api, signed(r1, "RS256"), node, "no kid, and two keys for RS256")
        assert_refused(api, signed(r1, "RS256", kid="r2"), node, "another key's kid")
        assert_refused(api, signed(r1, "RS256", kid="unknown"), node, "an unknown kid")
        assert_refused(api, signed(r1, "RS256", kid="R1"), node, "kids are compared with case")
        assert_refused(api, signed(e1, "ES256", kid="r1"), node, "an EC signature for an RSA key")
        assert_refused(api, signed(r1, "RS256", kid="e1"), node, "an RSA signature for an EC key")
        assert_refused(api, signed(r1, "RS384", kid="r1"), node, "not the key's algorithm")
        assert_refused(api, signed(r1, "RS256", kid="../../etc/passwd"), node, "a path")
        for kid, key in (("r1", r1), ("e1", e1)):
            for secret in (public_pem(key), b""):
                confused = hs256(secret, {"alg": "HS256", "typ": "JWT", "kid": kid})
                assert_refused(api, confused, node, f"HS256 with the public key {kid}")
        assert_refused(api, hs256(lab.jwt_secret), node, "HS256, with no secret configured")
        # keys that a token brings along are nobody's
        own = rsa_key()
        assert_refused(api, signed(own, "RS256", kid="r1", jwk=rsa_jwk(own)), node, "a jwk in the header")
        assert_refused(api, signed(own, "RS256", kid="r1", jku="http://evil.example/jwks"), node, "a jku")


def test_a_secret_beside_a_jwks(api, lab, keys_path):
    key = rsa_key()
    path = keys_path / "beside.json"
    path.write_text(json.dumps({"keys": [rsa_jwk(key, kid="r")]}))
    with lab.node(jwt_jwks_file=path) as node:
        assert_believed(api, signed(key, "RS256", kid="r"), node)
        assert_believed(api, hs256(lab.jwt_secret), node)
        assert_refused(api, hs256(lab.jwt_secret, {"alg": "HS256", "kid": "r"}), node, "the RSA key's kid")


# ── reload ──────────────────────────────────────────────────────────────────


def test_reload_of_a_jwks(api, lab, keys_path):
    """SIGHUP: the new key is believed, the old one no longer, remembered tokens included; a broken
    file changes nothing."""
    old, new = rsa_key(), rsa_key()
    path = keys_path / "rolling.json"
    path.write_text(json.dumps({"keys": [rsa_jwk(old, kid="old")]}))
    with lab.node(jwt_secret=None, jwt_jwks_file=path) as node:
        old_token, new_token = signed(old, "RS256", kid="old"), signed(new, "RS256", kid="new")
        assert_believed(api, old_token, node)
        assert_refused(api, new_token, node)
        path.write_text(json.dumps({"keys": [rsa_jwk(old, kid="old"), rsa_jwk(new, kid="new")]}))
        assert_refused(api, new_token, node, "before the reload")
        node.reload()
        eventually(lambda: ask(api, new_token, node).status_code == 404, 5, "the new key to be believed")
        assert_believed(api, old_token, node)

        path.write_text('{"keys": [{"kty": "RSA"')
        node.reload()
        time.sleep(0.5)
        assert_believed(api, new_token, node, "a broken file keeps the old keys")
        assert node.running

        path.write_text(json.dumps({"keys": [rsa_jwk(new, kid="new")]}))
        node.reload()
        eventually(lambda: ask(api, old_token, node).status_code == 401, 5, "the old key to be forgotten")
        assert_believed(api, new_token, node)
        for _ in range(20):  # every worker
            assert_refused(api, old_token, node)


def test_reload_of_a_pem(api, lab, keys_path):
    old, new = ec_key(), rsa_key()
    path = keys_path / "rolling.pem"
    path.write_bytes(public_pem(old))
    with lab.node(jwt_secret=None, jwt_public_key_file=path) as node:
        assert_believed(api, signed(old, "ES256"), node)
        path.write_bytes(public_pem(new))
        node.reload()
        token = signed(new, "RS256")
        eventually(lambda: ask(api, token, node).status_code == 404, 5, "the new key to be believed")
        assert_refused(api, signed(old, "ES256"), node, "the old key")


# ── the service token ───────────────────────────────────────────────────────


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def test_the_service_token_works_on_its_routes_alone(api, lab):
    user, sid = api.user(), str(uuid.uuid4())
    payload = api.payload(user=user, session=sid)
    assert api.save(user, sid, ended_by="user").status_code == 200
    assert api.webhook(payload).status_code == 200
    interview = model.interview_id(payload["data"]["conversation_id"])
    service = bearer(lab.service_token)

    assert api.request("GET", f"/api/interviews/{interview}/results", headers=service).status_code == 200
    assert api.request("GET", "/api/evaluations?status=pending", headers=service).status_code == 200
    done = {"status": "failed", "reason": "x"}
    path = f"/api/interviews/{interview}/evaluation"
    assert api.request("PUT", path, headers=service, json=done).status_code == 200

    assert_problem(api.request("GET", f"/api/interviews/by-session/{sid}", headers=service), 401)
    body = {"client_session_id": str(uuid.uuid4())}
    assert_problem(api.request("POST", "/api/save-interview", headers=service, json=body), 401)


def test_users_and_strangers_on_service_routes(api, lab):
    path = f"/api/interviews/{uuid.uuid4()}/evaluation"
    done = {"status": "failed", "reason": "x"}
    wrong = [
        {},
        bearer(api.token(api.user())),
        bearer(""),
        bearer("x"),
        bearer(lab.service_token[:-1]),
        bearer(lab.service_token + "0"),
        bearer(lab.service_token[:-1] + ("0" if lab.service_token[-1] != "0" else "1")),
        bearer(lab.service_token.upper()),
        {"Authorization": lab.service_token},
        {"Authorization": f"Basic {lab.service_token}"},
        {"x-api-secret": lab.service_token},
    ]
    for headers in wrong:
        assert_problem(api.request("PUT", path, headers=headers, json=done), 401)
        assert_problem(api.request("GET", "/api/evaluations?status=pending", headers=headers), 401)


def test_without_a_service_token_nobody_is_the_service(api, lab):
    with lab.node(service_token=None) as node:
        for token in ("", "x", lab.service_token, "(null)", api.token(api.user())):
            answer = api.request("GET", "/api/evaluations?status=pending", node, headers=bearer(token))
            assert answer.status_code in (401, 404), answer.status_code
