"""HAProxy before the lab's nodes, with contrib/haproxy/haproxy.cfg."""
import pathlib
import shutil
import socket

from .process import LabError, PortServer, spawn, unprivileged_user

CONFIGURATION = pathlib.Path(__file__).resolve().parents[1] / "haproxy" / "haproxy.cfg"


class HAProxy(PortServer):
    name = "haproxy"

    def __init__(self, scratch, nodes):
        super().__init__(scratch.path / "haproxy.log")
        self.program = shutil.which("haproxy", path="/usr/sbin:/usr/bin:/usr/local/sbin")
        if self.program is None:
            raise LabError("haproxy is not installed (Debian: haproxy)")
        self.nodes = nodes
        self.configuration = scratch.path / "haproxy.cfg"
        shutil.copyfile(CONFIGURATION, self.configuration)
        self.configuration.chmod(0o644)

    def launch(self):
        env = {"DEBRIEF_BIND": f"127.0.0.1:{self.port}"}
        for number, node in enumerate(self.nodes, 1):
            env[f"DEBRIEF_NODE_{number}"] = f"127.0.0.1:{node.port}"
        return spawn([self.program, "-db", "-f", self.configuration], self.log, env=env, user=unprivileged_user())

    def ready(self):
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5):
                return True
        except OSError:
            return False
