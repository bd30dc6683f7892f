"""The simulator's HTTP side: the provider's pull API, and /sim/… to play it by hand."""
import base64
import hmac
import http.server
import json
import secrets
import select
import socket
import urllib.parse

from .conversation import AGENT

PAGE_SIZE = 30
PAGE_SIZE_MAX = 100
BODY_MAX = 1 << 20
HEARTBEAT_SECS = 0.25


class ApiError(Exception):
    def __init__(self, status, code, message):
        super().__init__(message)
        self.status = status
        self.body = {"detail": {"status": code, "message": message}}


def make_server(simulator, listen):
    class BoundHandler(Handler):
        pass
    BoundHandler.simulator = simulator
    server = http.server.ThreadingHTTPServer(listen, BoundHandler)
    server.daemon_threads = True
    return server


class Handler(http.server.BaseHTTPRequestHandler):
    simulator = None
    protocol_version = "HTTP/1.1"

    # Requests

    def do_GET(self):
        self._answer("GET")

    def do_POST(self):
        self._answer("POST")

    def do_OPTIONS(self):
        self._body()
        self.send_response(204)
        if self._origin_allowed():
            self.send_header("Access-Control-Allow-Methods", "GET, POST, OPTIONS")
            self.send_header("Access-Control-Allow-Headers", "Content-Type, xi-api-key")
            self.send_header("Access-Control-Max-Age", "7200")
        self.end_headers()

    def _answer(self, method):
        try:
            parts = urllib.parse.urlsplit(self.path)
            path = [urllib.parse.unquote(segment) for segment in parts.path.strip("/").split("/")]
            query = urllib.parse.parse_qs(parts.query)
            body = self._body()
            if method == "GET" and path[:2] == ["sim", "conversations"] and path[3:] == ["line"]:
                return self._line(self._known(path[2]))
            status, answer = self._route(method, path, query, body)
        except ApiError as error:
            status, answer = error.status, error.body
        except (TypeError, ValueError, KeyError) as error:
            status, answer = 422, {"detail": {"status": "invalid_parameters", "message": str(error)}}
        text = json.dumps(answer, ensure_ascii=False).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)
        return None

    def _body(self):
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_MAX:
            self.close_connection = True
            raise ApiError(413, "too_large", f"at most {BODY_MAX} bytes")
        return self.rfile.read(length)

    def _route(self, method, path, query, body):
        if path[0] == "sim":
            if not self._origin_allowed():
                raise ApiError(403, "forbidden_origin", "pages of this origin may not play the provider")
            return self._control(method, path[1:], json.loads(body) if body else {})
        if method != "GET" or path[:2] != ["v1", "convai"]:
            raise ApiError(404, "not_found", "no such route")
        if not hmac.compare_digest((self.headers.get("xi-api-key") or "").encode(), self.simulator.api_key.encode()):
            raise ApiError(401, "invalid_api_key", "Invalid API key")
        rest = path[2:]
        if rest == ["conversations"]:
            return 200, list_conversations(self.simulator, query)
        if len(rest) == 2 and rest[0] == "conversations":
            return 200, self._known(rest[1]).data()
        if rest == ["conversation", "token"]:
            minted = self.simulator.mint(_agent(query))
            return 200, {"token": secrets.token_urlsafe(48), "conversation_id": minted.id}
        if rest in (["conversation", "get-signed-url"], ["conversation", "get_signed_url"]):
            return 200, {"signed_url": self._signed_url(query)}
        raise ApiError(404, "not_found", "no such route")

    def _known(self, id):
        conversation = self.simulator.conversations.get(id)
        if conversation is None:
            raise ApiError(404, "document_not_found", f"Conversation with id {id} not found")
        return conversation

    def _signed_url(self, query):
        agent = _agent(query)
        parameters = {"agent_id": agent, "conversation_signature": secrets.token_urlsafe(24)}
        if query.get("include_conversation_id") == ["true"]:
            parameters["conversation_id"] = self.simulator.mint(agent).id
        host, port = self.server.server_address[:2]
        return f"ws://{host}:{port}/v1/convai/conversation?{urllib.parse.urlencode(parameters)}"

    # Control

    def _control(self, method, path, fields):
        if not isinstance(fields, dict):
            raise ApiError(422, "invalid_parameters", "the body must be an object")
        simulator = self.simulator
        if (method, path) == ("GET", ["conversations"]):
            return 200, {"conversations": [c.row() for c in list(simulator.conversations.values())]}
        if (method, path) == ("POST", ["conversations"]):
            fields = {"id" if key == "conversation_id" else key: value for key, value in fields.items()}
            conversation = simulator.begin(**fields)
            return 201, {"conversation_id": conversation.id, "status": conversation.status}
        if (method, path) == ("GET", ["deliveries"]):
            return 200, {"deliveries": [d.report() for d in list(simulator.courier.deliveries)]}
        if (method, path) == ("POST", ["webhooks"]):
            ids = fields.pop("conversation_ids", [])
            for id in ids:
                self._known(id)
            return 202, {"deliveries": [d.report() for d in simulator.send_all(ids, **fields)]}
        if method == "POST" and len(path) == 3 and path[0] == "conversations":
            conversation = self._known(path[1])
            if path[2] in ("end", "hangup"):
                if path[2] == "hangup":
                    fields = {"reason": "agent", **fields}
                simulator.end(conversation.id, **fields)
                return 200, {"conversation_id": conversation.id, "status": conversation.status,
                             "duration": conversation.duration}
            if path[2] == "turns":
                return 200, {"turns": simulator.tell(conversation.id, **fields)}
            if path[2] == "webhook":
                return 202, simulator.send(conversation.id, **fields).report()
        raise ApiError(404, "not_found", "no such route")

    # The line: server-sent events for as long as the call goes on

    def _line(self, conversation):
        if not self._origin_allowed():
            raise ApiError(403, "forbidden_origin", "pages of this origin may not play the provider")
        call = self.simulator.calls.get(conversation.id)
        if call is None or call.over:
            self.send_response(204)
            self.end_headers()
            return
        self.close_connection = True
        call.open_line()
        try:
            self.send_response(200)
            self.send_header("Content-Type", "text/event-stream")
            self.send_header("Cache-Control", "no-store")
            self.send_header("Connection", "close")
            self.end_headers()
            while not call.wait_over(HEARTBEAT_SECS) and not self._peer_gone():
                self.wfile.write(b":\n\n")
            if call.over:
                told = json.dumps({"reason": call.reason})
                self.wfile.write(f"event: disconnect\ndata: {told}\n\n".encode())
        except OSError:
            pass  # gone, which is what we wait for
        finally:
            call.lose_line()

    def _peer_gone(self):
        """Whether the browser has closed it; it sends nothing on a line."""
        readable, _, _ = select.select([self.connection], [], [], 0)
        return bool(readable) and self.connection.recv(1, socket.MSG_PEEK) == b""

    # Headers and log

    def _origin_allowed(self):
        origin = self.headers.get("Origin")
        return origin is None or self.simulator.origins is None or origin in self.simulator.origins

    def end_headers(self):
        if self._origin_allowed():
            self.send_header("Access-Control-Allow-Origin", self.headers.get("Origin") or "*")
        self.send_header("Vary", "Origin")
        super().end_headers()

    def log_message(self, format, *arguments):
        if getattr(self.simulator, "verbose", False):
            super().log_message(format, *arguments)


def _agent(query):
    return (query.get("agent_id") or [AGENT])[0]


def list_conversations(simulator, query):
    """Newest first; filters, and a cursor that survives what is added meanwhile."""
    def one(name):
        return (query.get(name) or [None])[0]

    page_size = int(one("page_size") or PAGE_SIZE)
    if not 1 <= page_size <= PAGE_SIZE_MAX:
        raise ApiError(422, "invalid_parameters", f"page_size: 1 to {PAGE_SIZE_MAX}")
    after, before = one("call_start_after_unix"), one("call_start_before_unix")
    chosen = [c for c in list(simulator.conversations.values())
              if one("agent_id") in (None, c.agent_id)
              and one("user_id") in (None, c.user_id)
              and (after is None or c.start >= int(after))
              and (before is None or c.start <= int(before))
              and all(_has_variable(c, text) for text in query.get("dynamic_variable_params", []))]
    chosen.sort(key=lambda c: (-c.start, c.id))
    cursor = one("cursor")
    if cursor is not None:
        last = _read_cursor(cursor)
        chosen = [c for c in chosen if (-c.start, c.id) > last]
    page, more = chosen[:page_size], len(chosen) > page_size
    return {"conversations": [c.row() for c in page], "has_more": more,
            "next_cursor": _write_cursor(page[-1]) if more else None}


def _has_variable(conversation, text):
    """"name:eq:value", the only operator that is known to be offered."""
    name, operator, value = text.split(":", 2)
    if operator != "eq":
        raise ApiError(422, "invalid_parameters", f"dynamic_variable_params: unknown operator {operator!r}")
    held = conversation.dynamic_variables.get(name)
    return held is not None and (held if isinstance(held, str) else json.dumps(held)) == value


def _write_cursor(conversation):
    return base64.urlsafe_b64encode(json.dumps([-conversation.start, conversation.id]).encode()).decode()


def _read_cursor(text):
    try:
        start, id = json.loads(base64.urlsafe_b64decode(text))
        return int(start), str(id)
    except ValueError:
        raise ApiError(422, "invalid_parameters", "cursor: not one of ours") from None
