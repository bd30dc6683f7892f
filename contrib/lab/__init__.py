"""A private Redis, Postgres and Debrief nodes, in a scratch directory, on free ports.

    with Lab() as lab:
        print(lab.nodes[0].url)

Needs the standard library only. Started as root, the servers run as unprivileged
users. Whatever is started here dies with this process, even if that is killed.
"""
from .lab import Lab
from .node import Node, default_binary
from .postgres import Postgres
from .process import LabError, Scratch, wait_for
from .redis import Redis

__all__ = ["Lab", "LabError", "Node", "Postgres", "Redis", "Scratch", "default_binary", "wait_for"]
