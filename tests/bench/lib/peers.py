"""The peers: Express and pg, webdis, nginx with Lua."""
import json
import os
import pathlib
import pwd
import shutil
import signal
import subprocess

from lab import LabError
from lab.process import PortServer, spawn, tail

from . import HERE
from .bench import Missing, exchange

EXPRESS = HERE / "peers" / "express"
NGINX_MODULES = pathlib.Path("/usr/lib/nginx/modules")
# pg's default, and with 32 clients the best of 4, 10, 20 and 32.
POOL_SIZE = 10


class Peer(PortServer):
    page = "/"

    def __init__(self, bench, lab):
        super().__init__(bench.scratch.path / f"{self.name}.log")
        self.bench = bench
        self.lab = lab

    def ready(self):
        try:
            return exchange(self.port, "GET", self.page)[0] == 200
        except OSError:
            return False

    def __exit__(self, *exception):
        self.kill()


class Express(Peer):
    """peers/express in a database of its own, in the lab's Postgres."""

    page = "/livez"

    def __init__(self, bench, lab, one_statement=False):
        self.name = self.database = "express_one" if one_statement else "express"
        self.one_statement = one_statement
        super().__init__(bench, lab)

    def start(self):
        install_express(self.bench)
        postgres = self.lab.postgres_server
        postgres.create_database(self.database)
        postgres.sql((EXPRESS / "schema.sql").read_text(), self.database)
        return super().start()

    def launch(self):
        return spawn(["node", EXPRESS / "server.js"], self.log, env={
            "NODE_ENV": "production", "PORT": str(self.port), "POOL_SIZE": str(POOL_SIZE),
            "DATABASE_URL": self.lab.postgres_server.database_url(self.database),
            "JWT_SECRET": self.lab.jwt_secret, "WEBHOOK_SECRET": self.lab.secret,
            **({"ONE_STATEMENT": "1"} if self.one_statement else {})})


def install_express(bench):
    """`npm ci`, once a checkout; package-lock.json pins what comes."""
    if (EXPRESS / "node_modules" / "express").exists():
        return
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            raise Missing(f"{program} is not installed (Debian: nodejs, npm)")
    print("npm ci in tests/bench/peers/express …", flush=True)
    log = bench.scratch.path / "npm.log"
    with open(log, "wb") as out:
        done = subprocess.run(["npm", "ci", "--no-audit", "--no-fund"], cwd=EXPRESS, stdout=out,
                              stderr=subprocess.STDOUT, env=os.environ)
    if done.returncode != 0:
        raise Missing(f"npm ci failed:\n{tail(log)}")


class KeyServer(Peer):
    """Answers GET with a key of the lab's Redis."""

    key = "bench-reply"

    def __init__(self, bench, lab, value):
        super().__init__(bench, lab)
        if lab.redis_server.call("SET", self.key, value) != b"OK":
            raise LabError("Redis did not take the key")

    def redis(self):
        return self.lab.redis_server.port, self.lab.redis_server.password


class Webdis(KeyServer):
    name = "webdis"

    @property
    def page(self):
        return f"/GET/{self.key}.json"

    def launch(self):
        program = shutil.which("webdis")
        if program is None:
            raise Missing("webdis is not installed (Debian: webdis)")
        port, password = self.redis()
        config = self.bench.scratch.path / "webdis.json"
        config.write_text(json.dumps({
            "redis_host": "127.0.0.1", "redis_port": port, "redis_auth": password, "http_host": "127.0.0.1",
            "http_port": self.port, "threads": 1, "pool_size": 10, "daemonize": False, "database": 0,
            "verbosity": 0, "logfile": str(self.bench.scratch.path / "webdis-own.log")}))
        return spawn([program, config], self.log)


class Nginx(KeyServer):
    name = "nginx"

    @property
    def page(self):
        return f"/get/{self.key}"

    def launch(self):
        program = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
        if program is None or not (NGINX_MODULES / "ngx_http_lua_module.so").exists() or \
                not pathlib.Path("/usr/share/lua/5.1/nginx/redis.lua").exists():
            raise Missing("nginx with Lua is not installed (Debian: nginx, libnginx-mod-http-lua, lua-nginx-redis)")
        port, password = self.redis()
        text = (HERE / "load" / "nginx.conf").read_text()
        user = f"user {pwd.getpwuid(0).pw_name};" if os.geteuid() == 0 else ""
        for name, value in {"MODULES": NGINX_MODULES, "SCRATCH": self.bench.scratch.path, "PORT": self.port,
                            "REDIS_PORT": port, "REDIS_PASSWORD": password, "USER": user}.items():
            text = text.replace(f"@{name}@", str(value))
        config = self.bench.scratch.path / "nginx.conf"
        config.write_text(text)
        return spawn([program, "-e", self.bench.scratch.path / "nginx-error.log", "-c", config], self.log,
                     death_signal=signal.SIGTERM)

    def kill(self):
        """The master's SIGKILL would leave its worker behind."""
        if self.running:
            self.stop()
