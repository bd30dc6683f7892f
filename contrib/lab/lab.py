"""Redis, Postgres and nodes together."""
import contextlib
import itertools
import secrets

from .node import Node, default_binary, environment, install_binary, sanitizer_environment
from .postgres import Postgres
from .process import LabError, Scratch, run, unprivileged_user, wait_for
from .redis import Redis


class Lab:
    """One Redis, one Postgres, the schema migrated, `nodes` nodes that share them.

    `options` go to every node.
    `progress` is called with a line for each thing that has come up.
    """

    def __init__(self, binary=None, nodes=1, options=None, fsync=True, keep=False, progress=None,
                 postgres_options=None, redis_options=None):
        self.scratch = Scratch(keep=keep)
        self.progress = progress or (lambda line: None)
        self.secret = "wsec_" + secrets.token_hex(32)
        self.jwt_secret = secrets.token_hex(32)
        self.service_token = secrets.token_hex(32)
        self._names = itertools.count()
        self.all_nodes = []
        try:
            self.binary = install_binary(binary or default_binary(), self.scratch)
            self.redis_server = Redis(self.scratch, redis_options)
            self.postgres_server = Postgres(self.scratch, fsync=fsync, options=postgres_options)
        except BaseException:
            self.scratch.remove()
            raise
        self.options = dict(options or {})
        self._count = nodes
        self.nodes = []

    @property
    def redis_url(self):
        return self.redis_server.url

    @property
    def database_url(self):
        return self.postgres_server.url

    def base_options(self):
        return {
            "redis_url": self.redis_url, "database_url": self.database_url,
            "environment": "development", "jwt_secret": self.jwt_secret, "workers": 2,
            "elevenlabs_webhook_secret": self.secret, "service_token": self.service_token,
            **self.options,
        }

    def start(self):
        try:
            self.redis_server.start()
            self.progress(f"Redis listens on 127.0.0.1:{self.redis_server.port}")
            self.postgres_server.start()
            self.progress(f"Postgres listens on 127.0.0.1:{self.postgres_server.port}")
            self.migrate()
            self.progress("the ledger's schema is migrated")
            for _ in range(self._count):
                node = self.new_node()
                self.nodes.append(node)
                node.start()
                self.progress(f"{node.name} listens on {node.url}, admin on {node.admin_url}")
        except BaseException:
            self._discard()
            raise
        return self

    def migrate(self, *arguments, **options):
        """`debrief migrate`; options replace those of the lab (another database_url, say)."""
        env = {**sanitizer_environment(), **environment({**self.base_options(), **options})}
        run([self.binary, "migrate", *arguments], self.scratch.path / "migrate.log", env=env,
            user=unprivileged_user(), what="debrief migrate")

    def new_node(self, **options):
        """Another node, not yet started."""
        node = Node(self.binary, self.scratch, f"node-{next(self._names)}", {**self.base_options(), **options})
        self.all_nodes.append(node)
        return node

    @contextlib.contextmanager
    def node(self, **options):
        """An extra node with other options; stopped, its exit status checked, at the end."""
        node = self.new_node(**options)
        node.start()
        try:
            yield node
        finally:
            node.stop()

    def wait_ready(self, timeout=30):
        for node in self.nodes:
            if node.running:
                wait_for(lambda: node.answers() and node.sees("redis", "ledger"), f"{node.name} to be ready again",
                         timeout)

    def _restart(self, server, store, kill, ready):
        """Down and up, and, if asked, until every node has seen both."""
        watching = [node for node in self.nodes if ready and node.running and node.sees(store)]
        if kill:
            server.kill()
        else:
            server.stop()
        for node in watching:
            wait_for(lambda: not node.sees(store), f"{node.name} to see that {server.name} is away")
        server.start()
        for node in watching:
            wait_for(lambda: node.sees(store), f"{node.name} to have {server.name} again")

    def restart_redis(self, kill=False, ready=True):
        self._restart(self.redis_server, "redis", kill, ready)

    def restart_postgres(self, kill=False, ready=True):
        self._restart(self.postgres_server, "ledger", kill, ready)

    def flush_redis(self):
        if self.redis_server.call("FLUSHALL") != b"OK":
            raise LabError("Redis did not flush")

    def stop(self):
        """Stops everything; LabError if a node's exit status wasn't 0 or a sanitizer spoke."""
        complaints = []
        try:
            for server in (self.redis_server, self.postgres_server):
                if server.running:
                    server.resume()
            for node in self.all_nodes:
                try:
                    node.stop()
                except LabError as error:
                    complaints.append(str(error))
                spoken = node.complaint()
                if spoken:
                    complaints.append(f"{node.name}:\n{spoken}")
            for server in (self.postgres_server, self.redis_server):
                server.stop()
        finally:
            self._discard()
        if complaints:
            raise LabError("\n".join(complaints))

    def _discard(self):
        for server in (*self.all_nodes, self.postgres_server, self.redis_server):
            server.kill()
        self.scratch.remove()

    def __enter__(self):
        return self.start()

    def __exit__(self, *exception):
        self.stop()
