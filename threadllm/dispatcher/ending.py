"""What is left to do when a dispatcher has come to its end."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from threadllm.call import Kept
    from threadllm.dispatcher.watchdog import Watchdog
    from threadllm.progress import Painter


class Ending:
    """What stops when nothing more will come. It must not hold the dispatcher, whose end it may be.

    Args:
        connections: What the transport has kept.
        watchdog: Stops by itself, once nothing is watched.
        painter: Paints once more.
    """

    def __init__(self, connections: Kept, watchdog: Watchdog, painter: Painter | None) -> None:
        self._process = os.getpid()
        self._connections = connections
        self._watchdog = watchdog
        self._painter = painter

    def begin(self) -> None:
        """Stop all of them; again and again, if need be. In a fork there are none of them."""
        if self._process != os.getpid():
            return
        self._connections.close()
        self._watchdog.close()
        if self._painter is not None:
            self._painter.close()

    def join(self) -> None:
        """Wait until all of them have stopped, or stop them here."""
        self.begin()
        self._watchdog.join()
