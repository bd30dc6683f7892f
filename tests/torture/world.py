"""The lab under torture: two nodes, each with a misbehaving line to each store."""

import threading

from conftest import Lab
from lab.process import LabError
from lab.proxy import Proxy

PARTITIONS = 64


class World:
    def __init__(self, keep=False, progress=None):
        self.lab = Lab(nodes=0, fsync=True, keep=keep, progress=progress,
                       redis_options={"appendfsync": "everysec", "maxmemory": "512mb"})
        self.links = {}  # (index of the node, store) → Proxy
        self.locks = {}
        self._locks_lock = threading.Lock()

    def start(self):
        lab = self.lab
        lab.start()
        ports = {"redis": lab.redis_server.port, "postgres": lab.postgres_server.port}
        urls = {"redis": lab.redis_url, "postgres": lab.database_url}
        for index in range(2):
            through = {}
            for store, port in ports.items():
                proxy = self.links[index, store] = Proxy(port)
                through[store] = proxy.through(urls[store])
            lab.nodes.append(lab.new_node(redis_url=through["redis"], database_url=through["postgres"]))
        for node in lab.nodes:
            node.start()
        return self

    def lock(self, victim):
        with self._locks_lock:
            return self.locks.setdefault(victim, threading.Lock())

    def server(self, victim):
        if victim.startswith("node-"):
            return self.lab.nodes[int(victim[5:])]
        return self.lab.redis_server if victim == "redis" else self.lab.postgres_server

    def link(self, victim):
        _, index, store = victim.split("-")
        return self.links[int(index), store]

    def journals(self):
        """{partition: entries} of the journals that aren't empty."""
        found = {}
        for number in range(PARTITIONS):
            length = self.lab.redis.xlen(f"debrief:{{p{number}}}:journal")
            if length:
                found[number] = length
        return found

    def stop(self):
        """LabError if a node didn't end well."""
        if self.lab.pg is not None:
            self.lab.pg.close()
        try:
            self.lab.stop()
        finally:
            for proxy in self.links.values():
                proxy.close()


__all__ = ["LabError", "World"]
