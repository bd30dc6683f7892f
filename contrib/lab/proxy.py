"""A TCP proxy that can misbehave: between a node and a store it drops, stalls, delays,
half-closes, cuts a reply in the middle, lets only some in, and refuses."""
import asyncio
import threading

CHUNK = 65536


class Proxy:
    """Listens on a loopback port of its own and leads to another. One thread each.

    stall, refuse, admit and delay_ms hold until they are changed; the verbs act once.
    """

    def __init__(self, target_port):
        self.target_port = target_port
        self.port = None
        self.stalled = False
        self.refusing = False
        self.delay_ms = 0
        self._cut_reply = False
        self._admits = None
        self._pairs = set()
        self._loop = asyncio.new_event_loop()
        self._gate = self._door = None
        self._thread = threading.Thread(target=self._run, name="proxy", daemon=True)
        started = threading.Event()
        self._loop.call_soon(started.set)
        self._thread.start()
        started.wait(10)
        asyncio.run_coroutine_threadsafe(self._listen(), self._loop).result(10)

    def _run(self):
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()

    async def _listen(self):
        self._gate = asyncio.Event()
        self._gate.set()
        self._door = asyncio.Event()
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=CHUNK)
        self.port = self._server.sockets[0].getsockname()[1]

    def through(self, url):
        """The target's URL, leading through here."""
        direct = f":{self.target_port}/"
        if direct not in url:
            raise ValueError(f"{url} does not lead to port {self.target_port}")
        return url.replace(direct, f":{self.port}/")

    async def _serve(self, reader, writer):
        if self.refusing:
            writer.transport.abort()
            return
        if self._admits is not None:
            self._admits -= 1
            if self._admits < 0:
                await self._door.wait()
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.target_port, limit=CHUNK)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, up_writer)
        self._pairs.add(pair)
        try:
            await asyncio.gather(self._pump(reader, up_writer, False), self._pump(up_reader, writer, True))
        finally:
            self._pairs.discard(pair)
            for side in pair:
                side.transport.abort() if side.is_closing() else side.close()

    async def _pump(self, reader, writer, replies):
        """A broken side breaks the other: nobody waits for a peer that has gone."""
        try:
            while data := await reader.read(CHUNK):
                await self._gate.wait()
                if self.delay_ms:
                    await asyncio.sleep(self.delay_ms / 1000)
                if replies and self._cut_reply:
                    self._cut_reply = False
                    writer.write(data[:len(data) // 2])
                    await writer.drain()
                    raise ConnectionAbortedError
                writer.write(data)
                await writer.drain()
            await self._gate.wait()
            if writer.can_write_eof() and not writer.is_closing():
                writer.write_eof()
        except (OSError, RuntimeError):
            for pair in list(self._pairs):
                if writer in pair:
                    for side in pair:
                        side.transport.abort()

    def _do(self, function):
        done = threading.Event()

        def act():
            try:
                function()
            finally:
                done.set()
        self._loop.call_soon_threadsafe(act)
        done.wait(10)

    def drop(self):
        """Resets every connection."""
        def act():
            for pair in list(self._pairs):
                for side in pair:
                    side.transport.abort()
        self._do(act)

    def half_close(self):
        """Tells every client that the store has ended its side; what they still send goes on."""
        def act():
            for client, _ in list(self._pairs):
                if not client.is_closing():
                    client.write_eof()
        self._do(act)

    def cut_reply(self):
        """Passes half of what the store sends next, then resets that connection."""
        self._cut_reply = True

    def stall(self):
        """Connections stay, and nothing comes through, in either direction."""
        self._do(self._gate.clear)
        self.stalled = True

    def admit(self, count):
        """So many more connections are led on; those behind them are accepted, and wait until mend()."""
        def act():
            self._admits = count
            self._door.clear()
        self._do(act)

    def refuse(self):
        """Resets what is there and whatever comes."""
        self.refusing = True
        self.drop()

    def mend(self):
        self.refusing = False
        self.stalled = False
        self.delay_ms = 0
        self._cut_reply = False
        self._admits = None
        self._do(self._door.set)
        self._do(self._gate.set)

    def close(self):
        self.drop()

        def act():
            self._server.close()
            for task in asyncio.all_tasks(self._loop):
                task.cancel()
            self._loop.call_later(0.1, self._loop.stop)
        self._loop.call_soon_threadsafe(act)
        self._thread.join(5)
