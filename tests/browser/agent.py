"""The voice provider's end of a WebSocket, as far as its own SDK speaks to it: enough to
hold a conversation with the real SDK in a real browser. The simulator keeps the
conversation and sends its webhook."""
import base64
import hashlib
import json
import socketserver
import struct
import threading
import urllib.parse

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
TEXT, CLOSE = 1, 8
GREETING = "Hello, this is the real SDK speaking."


class Agent:
    """Listens at `origin` (ws://…); `connections` are those that have begun."""

    def __init__(self, simulator, webhook="at-once"):
        self.simulator = simulator
        self.webhook = webhook
        self.connections = []
        outer = self

        class Handler(socketserver.StreamRequestHandler):
            def handle(self):
                Connection(outer, self.request, self.rfile).run()
        self.server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler, bind_and_activate=True)
        self.server.daemon_threads = True
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)

    @property
    def origin(self):
        return "ws://127.0.0.1:%d" % self.server.server_address[1]

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exception):
        self.server.shutdown()
        self.server.server_close()


class Connection:
    def __init__(self, agent, connection, stream):
        self.agent = agent
        self.socket = connection
        self.stream = stream
        self.path = None
        self.initiation = None
        self.conversation = None
        self.audio_chunks = 0

    def run(self):
        try:
            self._shake_hands()
            self._begin(json.loads(self._frame()[1]))
            while (frame := self._frame())[0] != CLOSE:
                self._hear(json.loads(frame[1]))
        except (OSError, EOFError):
            pass
        if self.conversation is not None:
            self.agent.simulator.end(self.conversation.id, webhook=self.agent.webhook)

    def hang_up(self):
        """As the provider closes a call by itself."""
        self._send_frame(CLOSE, struct.pack("!H", 1000))

    def say(self, text):
        self.agent.simulator.tell(self.conversation.id, "agent", text)
        self._send({"type": "agent_response", "agent_response_event": {"agent_response": text, "event_id": 1}})

    def _shake_hands(self):
        self.path = self.stream.readline().decode().split(" ")[1]
        headers = {}
        while (line := self.stream.readline().decode().strip()):
            name, value = line.split(":", 1)
            headers[name.lower()] = value.strip()
        key = base64.b64encode(hashlib.sha1((headers["sec-websocket-key"] + GUID).encode()).digest()).decode()
        self.socket.sendall(("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                             f"Sec-WebSocket-Accept: {key}\r\nSec-WebSocket-Protocol: convai\r\n\r\n").encode())

    def _begin(self, initiation):
        self.initiation = initiation
        self.conversation = self.agent.simulator.begin(
            agent_id=urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)["agent_id"][0],
            user_id=initiation.get("user_id"), dynamic_variables=initiation.get("dynamic_variables"))
        self._send({"type": "conversation_initiation_metadata", "conversation_initiation_metadata_event": {
            "conversation_id": self.conversation.id, "agent_output_audio_format": "pcm_16000",
            "user_input_audio_format": "pcm_16000"}})
        self.agent.connections.append(self)
        self.say(GREETING)

    def _hear(self, message):
        if "user_audio_chunk" in message:
            self.audio_chunks += 1
        elif message.get("type") == "user_message":
            self.agent.simulator.tell(self.conversation.id, "user", message["text"])

    # Frames

    def _send(self, message):
        self._send_frame(TEXT, json.dumps(message).encode())

    def _send_frame(self, opcode, payload):
        head = struct.pack("!BB", 0x80 | opcode, len(payload)) if len(payload) < 126 \
            else struct.pack("!BBH", 0x80 | opcode, 126, len(payload))
        self.socket.sendall(head + payload)

    def _frame(self):
        """(opcode, payload); the browser's are masked."""
        first, second = self._read(2)
        length = second & 0x7F
        if length == 126:
            [length] = struct.unpack("!H", self._read(2))
        elif length == 127:
            [length] = struct.unpack("!Q", self._read(8))
        mask = self._read(4)
        return first & 0x0F, bytes(byte ^ mask[i % 4] for i, byte in enumerate(self._read(length)))

    def _read(self, count):
        data = self.stream.read(count)
        if len(data) < count:
            raise EOFError
        return data
