"""What the system says about the connections of this process to a server."""

from collections import Counter
from contextlib import suppress
from pathlib import Path

DESCRIPTORS = Path("/proc/self/fd")
TABLES = [Path("/proc/self/net/tcp"), Path("/proc/self/net/tcp6")]
STATES = {1: "established", 6: "time wait", 8: "close wait"}


def states(server):
    """How many connections to a server are in which state."""
    return Counter(state for _, state in _connections(server))


def open_sockets(server):
    """How many connections to a server this process has open."""
    ours = Counter(map(_target_of, DESCRIPTORS.iterdir()))
    return sum(ours[f"socket:[{inode}]"] for inode, _ in _connections(server))


def _connections(server):
    """The inode and the state of each connection: tables that change meanwhile repeat some."""
    port = int(server.url.rpartition(":")[2])
    found = {}
    for line in "".join(table.read_text() for table in TABLES if table.exists()).splitlines():
        fields = line.split()
        if fields[0] != "sl" and int(fields[2].rpartition(":")[2], 16) == port:
            state = int(fields[3], 16)
            found[fields[1]] = fields[9], STATES.get(state, state)
    return found.values()


def _target_of(descriptor):
    with suppress(FileNotFoundError):  # that of the listing itself
        return str(descriptor.readlink())
