"""The command line: exit status, help, check-config, token, trigger, version."""

import hashlib
import hmac
import json
import socket
import time
import uuid

import jwt
import pytest

from support import interview_row, run_debrief, told

COMMANDS = ("serve", "migrate", "check-config", "token", "trigger", "version")
SECRET = "0123456789abcdef" * 4
WEBHOOK_SECRET = "wsec_" + "f" * 64


def good_options(**more):
    """Enough for a node that would start."""
    return {
        "environment": "development",
        "database_url": "postgresql://x@127.0.0.1:1/x",
        "jwt_secret": SECRET,
        "elevenlabs_webhook_secret": WEBHOOK_SECRET,
        **more,
    }


@pytest.fixture
def config(tmp_path):
    """Writes an INI file; its path."""

    def write(text, mode=0o600):
        path = tmp_path / "debrief.ini"
        path.write_text(text)
        path.chmod(mode)
        return path

    return write


# ── exit status and help ────────────────────────────────────────────────────


@pytest.mark.parametrize("command", COMMANDS)
def test_every_subcommand_has_help(lab, command):
    done = run_debrief(lab, command, "--help")
    assert done.returncode == 0 and f"debrief {command}" in done.stdout and done.stderr == "", told(done)


@pytest.mark.parametrize("command", COMMANDS)
def test_wrong_usage_is_2(lab, command):
    for words in (("--no-such-option",), ("one", "two", "three")):
        done = run_debrief(lab, command, *words, options=good_options())
        assert done.returncode == 2 and done.stderr and done.stdout == "", f"{command} {words}: {told(done)}"


def test_the_program_itself(lab):
    for words, status in (((), 2), (("--help",), 0), (("help",), (0, 2)), (("nonsense",), 2), (("--nonsense",), 2)):
        done = run_debrief(lab, *words)
        assert done.returncode in (status if isinstance(status, tuple) else (status,)), f"{words}: {told(done)}"
        if done.returncode == 2:
            assert done.stderr, told(done)
    done = run_debrief(lab, "--help")
    for command in COMMANDS:
        assert command in done.stdout, told(done)


def test_version(lab):
    done = run_debrief(lab, "version")
    assert done.returncode == 0 and "debrief" in done.stdout, told(done)
    known = json.loads(run_debrief(lab, "version", "--json").stdout)
    for name in ("debrief", "schema", "libevent", "hiredis", "libpq", "cjson", "openssl"):
        assert known[name], name
    assert known["debrief"] in done.stdout
    assert run_debrief(lab, "--version").returncode in (0, 2)


# ── check-config ────────────────────────────────────────────────────────────


def test_a_good_configuration(lab):
    done = run_debrief(lab, "check-config", options=good_options())
    assert done.returncode == 0, told(done)
    assert SECRET not in done.stdout + done.stderr and WEBHOOK_SECRET not in done.stdout + done.stderr
    assert "(set)" in done.stdout, told(done)


def test_defaults(lab):
    values = json.loads(run_debrief(lab, "check-config", "--json", options=good_options()).stdout)["values"]
    for name, default in {
        "listen": "127.0.0.1:8080",
        "admin_listen": "127.0.0.1:8081",
        "signature_tolerance_secs": 3600,
        "evaluator": "provider",
        "match_window_secs": 600,
        "webhook_deadline_secs": 3600,
        "evaluation_deadline_secs": 600,
        "durability": "ledger",
        "ledger_patience_ms": 2000,
        "session_ttl_secs": 86400,
        "partitions": 64,
        "log_level": "info",
        "log_sample": 100,
    }.items():
        assert str(values[name]) == str(default), name
    assert values["claim_unowned"] in (True, "on")
    assert values["environment"] == "development"
    production = run_debrief(lab, "check-config", "--json", options=good_options(environment=None))
    assert json.loads(production.stdout)["values"]["environment"] == "production", "the default"


def test_what_is_wrong_is_named_with_its_line(lab, config):
    path = config(
        "# a comment\n"
        "[debrief]\n"
        "listen = 127.0.0.1:8080\n"
        "no_such_option = 1\n"
        "workers = many\n"
        "evaluator = nobody\n"
        "session_ttl_secs = -5\n"
        "webhook_body_max = 32 parsecs\n"
        "claim_unowned = perhaps\n"
        "a line without a sign\n"
        "jwt_secret = short\n"
    )
    done = run_debrief(lab, "check-config", "--config", path, options=good_options(jwt_secret=None))
    assert done.returncode == 1, told(done)
    for line, name in (
        (4, "no_such_option"),
        (5, "workers"),
        (6, "evaluator"),
        (7, "session_ttl_secs"),
        (8, "webhook_body_max"),
        (9, "claim_unowned"),
        (10, ""),
        (11, "jwt_secret"),
    ):
        found = [text for text in done.stderr.splitlines() if f"debrief.ini:{line}" in text]
        assert found, f"line {line} is not named: {told(done)}"
        assert any(name in text for text in found), f"{name} is not named: {found}"
    assert "short" not in done.stderr.replace("too short", ""), "a secret is not repeated, not even a bad one"
    findings = json.loads(
        run_debrief(lab, "check-config", "--json", "--config", path, options=good_options(jwt_secret=None)).stdout
    )
    assert findings["ok"] is False and len(findings["findings"]) >= 8
    assert all({"fatal", "source", "message"} <= set(finding) for finding in findings["findings"])


def test_serve_refuses_what_check_config_refuses(lab, config):
    for options in (
        {"workers": "many"},
        {"database_url": None},
        {"jwt_secret": None},
        {"jwt_secret": "short"},
        {"service_token": "short"},
        {"redis_url": "http://x"},
        {"listen": "nowhere"},
        {"cors_origins": "*"},
        {"cors_origins": "https://app.example/path"},
        {"partitions": 0},
        {"environment": "staging"},
    ):
        name = next(iter(options))
        for command in ("check-config", "serve"):
            done = run_debrief(lab, command, options=good_options(**options), timeout=20)
            assert done.returncode == 1, f"{command} {options}: {told(done)}"
            assert name in done.stderr.lower(), f"{command} {options}: {told(done)}"


def test_an_unknown_variable_is_named(lab):
    done = run_debrief(lab, "check-config", options=good_options(), env={"DEBRIEF_LISTENN": "x"})
    assert "DEBRIEF_LISTENN" in done.stderr, told(done)


def test_the_environment_wins_over_the_file(lab, config):
    path = config("match_window_secs = 30\nlog_level = warn\n")
    done = run_debrief(lab, "check-config", "--json", "--config", path, options=good_options(match_window_secs=45))
    values = json.loads(done.stdout)["values"]
    assert (str(values["match_window_secs"]), values["log_level"]) == ("45", "warn"), told(done)


def test_secrets_from_files(lab, tmp_path):
    secret = tmp_path / "jwt.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o644)
    options = good_options(jwt_secret=None)
    user = str(uuid.uuid4())
    done = run_debrief(lab, "token", "--user", user, options=options, env={"DEBRIEF_JWT_SECRET_FILE": str(secret)})
    assert done.returncode == 0, told(done)
    assert jwt.decode(done.stdout.strip(), SECRET, algorithms=["HS256"])["sub"] == user, "without the newline"
    missing = run_debrief(lab, "check-config", options=options, env={"DEBRIEF_JWT_SECRET_FILE": str(tmp_path / "none")})
    assert missing.returncode == 1 and "DEBRIEF_JWT_SECRET_FILE" in missing.stderr, told(missing)
    both = run_debrief(lab, "check-config", options=good_options(), env={"DEBRIEF_JWT_SECRET_FILE": str(secret)})
    assert "JWT_SECRET" in both.stderr, f"two values for one secret: {told(both)}"


def test_insecure_choices_are_named(lab, config):
    for options, name in (
        ({"admin_listen": "0.0.0.0:8081"}, "admin_listen"),
        ({"elevenlabs_webhook_secret": None}, "elevenlabs_webhook_secret"),
        ({"environment": "development"}, "environment"),
        ({"signature_tolerance_secs": 90_000}, "signature_tolerance_secs"),
        ({"evaluator": "external"}, "evaluator"),
    ):
        done = run_debrief(lab, "check-config", options=good_options(**options))
        assert done.returncode == 0, f"unwise is not wrong: {options}: {told(done)}"
        warnings = [line for line in done.stderr.splitlines() if "warning" in line]
        assert any(name in line for line in warnings), f"{options}: {told(done)}"
    readable = config(f"jwt_secret = {SECRET}\n", mode=0o644)
    done = run_debrief(lab, "check-config", "--config", readable, options=good_options(jwt_secret=None))
    assert done.returncode == 0 and "warning" in done.stderr and "debrief.ini" in done.stderr, told(done)


def test_a_configuration_that_is_not_there(lab, tmp_path):
    for command in ("check-config", "serve", "migrate"):
        done = run_debrief(lab, command, "--config", tmp_path / "none.ini", options=good_options())
        assert done.returncode == 1 and "none.ini" in done.stderr, told(done)


def test_the_options_are_listed(lab):
    done = run_debrief(lab, "check-config", "--options")
    assert done.returncode == 0, told(done)
    for name in ("listen", "webhook_deadline_secs", "DEBRIEF_JWT_JWKS_FILE", "DEBRIEF_PARTITIONS", "claim_unowned"):
        assert name in done.stdout, name


def test_an_address_that_is_taken(lab, api):
    """SO_REUSEPORT would share it silently with another process of the same user."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = "127.0.0.1:%d" % taken.getsockname()[1]
        options = {**lab.base_options(), "listen": address, "admin_listen": "127.0.0.1:0"}
        done = run_debrief(lab, "serve", options=options, timeout=30)
        assert done.returncode == 1 and address in done.stderr, told(done)
    node = lab.nodes[0]
    done = run_debrief(lab, "serve", options={**lab.base_options(), "listen": f"127.0.0.1:{node.port}",
                                              "admin_listen": "127.0.0.1:0"}, timeout=30)
    assert done.returncode == 1, told(done)


# ── token ───────────────────────────────────────────────────────────────────


def test_a_token_that_works(lab, api):
    user = str(uuid.uuid4())
    done = run_debrief(lab, "token", "--user", user, options=lab.base_options())
    assert done.returncode == 0, told(done)
    token = done.stdout.strip()
    assert "\n" not in token
    claims = jwt.decode(token, lab.jwt_secret, algorithms=["HS256"])
    assert claims["sub"] == user and 3500 < claims["exp"] - time.time() < 3700
    headers = {"Authorization": f"Bearer {token}"}
    assert api.request("GET", f"/api/interviews/by-session/{uuid.uuid4()}", headers=headers).status_code == 404


def test_a_token_carries_aud_and_iss(lab):
    options = good_options(jwt_audience="debrief", jwt_issuer="https://id.example/")
    done = run_debrief(lab, "token", "--ttl", 60, "--json", options=options)
    assert done.returncode == 0, told(done)
    body = json.loads(done.stdout)
    claims = jwt.decode(body["token"], SECRET, algorithms=["HS256"], audience="debrief", issuer="https://id.example/")
    assert claims["sub"] == body["user"] and claims["exp"] - time.time() < 61


def test_no_tokens_in_production(lab):
    for options in (good_options(environment=None), good_options(environment="production")):
        done = run_debrief(lab, "token", options=options)
        assert done.returncode == 1 and done.stdout == "", told(done)
        assert "environment" in done.stderr and "development" in done.stderr, "it names the setting that changes it"


def test_tokens_that_cannot_be_made(lab):
    done = run_debrief(lab, "token", options=good_options(jwt_secret=None))
    assert done.returncode == 1 and "jwt_secret" in done.stderr, told(done)
    for words in (("--user", "ana"), ("--ttl", "0"), ("--ttl", "x"), ("--ttl",)):
        done = run_debrief(lab, "token", *words, options=good_options())
        assert done.returncode == 2 and done.stdout == "", f"{words}: {told(done)}"


# ── trigger ─────────────────────────────────────────────────────────────────


def trigger(lab, *words, **options):
    url = f"{lab.nodes[0].url}/webhooks/elevenlabs"
    return run_debrief(lab, "trigger", "--url", url, *words, options={**lab.base_options(), **options})


def test_trigger(lab, api):
    user, sid, cid = api.user(), f"s-{uuid.uuid4()}", api.cid()
    assert api.save(user, sid, ended_by="user").status_code == 200
    words = ("--user", user, "--session", sid, "--conversation", cid, "--agent", "agent_9", "--duration", 42)
    done = trigger(lab, *words)
    assert done.returncode == 0 and cid in done.stdout and "200" in done.stdout, told(done)
    view = api.poll(user, sid).json()
    assert (view["status"], view["conversationId"], view["evaluationStatus"]) == ("completed", cid, "complete")
    body = api.results(user, view["interviewId"]).json()
    assert (body["interview"]["agentId"], body["interview"]["durationSecs"]) == ("agent_9", 42)
    assert len(body["interview"]["transcript"]) > 2


def test_trigger_finds_the_node_by_itself(lab, api):
    options = {**lab.base_options(), "listen": f"127.0.0.1:{lab.nodes[1].port}"}
    done = run_debrief(lab, "trigger", "--json", options=options)
    assert done.returncode == 0, told(done)
    body = json.loads(done.stdout)
    assert body["statuses"] == [200] and interview_row(lab, body["conversation_id"])


def test_trigger_options(lab, api):
    done = trigger(lab, "--json", "--duplicates", 2)
    assert json.loads(done.stdout)["statuses"] == [200, 200, 200], told(done)

    done = trigger(lab, "--json", "--bad-signature")
    assert done.returncode == 1 and json.loads(done.stdout)["statuses"] == [401], told(done)
    assert interview_row(lab, json.loads(done.stdout)["conversation_id"]) is None

    done = trigger(lab, "--json", "--no-analysis")
    row = interview_row(lab, json.loads(done.stdout)["conversation_id"])
    assert done.returncode == 0 and row["analysis"] is None, told(done)

    began = time.monotonic()
    assert trigger(lab, "--delay", 1).returncode == 0
    assert time.monotonic() - began >= 1.0

    for kind, kept in (("post_call_audio", False), ("call_initiation_failure", True)):
        done = trigger(lab, "--json", "--type", kind)
        assert done.returncode == 0, told(done)
        assert (interview_row(lab, json.loads(done.stdout)["conversation_id"]) is not None) == kept


def test_trigger_prints(lab):
    done = run_debrief(lab, "trigger", "--print", options=good_options())
    assert done.returncode == 0, told(done)
    body = json.loads(done.stdout)
    assert body["type"] == "post_call_transcription" and body["data"]["conversation_id"].startswith("conv_")
    header = done.stderr.split("ElevenLabs-Signature: ")[1].strip()
    parts = dict(part.split("=", 1) for part in header.split(","))
    message = parts["t"].encode() + b"." + done.stdout.rstrip("\n").encode()
    assert parts["v0"] == hmac.new(WEBHOOK_SECRET.encode(), message, hashlib.sha256).hexdigest()


def test_trigger_that_cannot_be_sent(lab):
    done = run_debrief(lab, "trigger", options=good_options(elevenlabs_webhook_secret=None))
    assert done.returncode == 1 and "elevenlabs_webhook_secret" in done.stderr, told(done)
    done = run_debrief(lab, "trigger", "--url", "http://127.0.0.1:9/", options=good_options(), timeout=40)
    assert done.returncode == 1 and done.stderr, told(done)
    for words in (("--type", "x"), ("--user", "x"), ("--duplicates", "-1"), ("--delay", "x")):
        done = run_debrief(lab, "trigger", *words, options=good_options())
        assert done.returncode == 2, f"{words}: {told(done)}"
