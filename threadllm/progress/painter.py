"""The one thread that paints, so that nobody who works waits for the screen."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.clock import Clock
    from threadllm.progress.displays import Display
    from threadllm.progress.tally import Tally


class Painter:
    """Paints a run's figures at intervals, from the first `expect` until `close` joins it.

    Args:
        tally: The figures.
        make_display: Makes what is painted on.
        clock: Says when.
        note: What else there is to say at a moment.
    """

    def __init__(
        self,
        tally: Tally,
        make_display: Callable[[], Display],
        clock: Clock,
        note: Callable[[], str] = str,
    ) -> None:
        self._tally = tally
        self._note = note
        self._make_display = make_display
        self._clock = clock
        self._closing = threading.Condition()
        self._closed = False  # guarded by _closing
        self._expected: int | None = 0  # guarded by _closing; None: not known
        self._thread: threading.Thread | None = None  # guarded by _closing

    def expect(self, items: int | None) -> None:
        """Announce so many more items; None where their number is not known."""
        with self._closing:
            if items is None or self._expected is None:
                self._expected = None
            else:
                self._expected += items
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(
                    target=self._paint, name="threadllm-progress", daemon=True
                )
                self._thread.start()

    def close(self) -> None:
        """Paint once more and end. Calling it again changes nothing."""
        with self._closing:
            self._closed = True
            self._closing.notify_all()
            thread = self._thread
        # A collector at work in the painting thread may find the dispatcher there, and close it.
        if thread is not None and thread is not threading.current_thread():
            thread.join()

    def _paint(self) -> None:
        display = self._make_display()
        closed = False
        while not closed:
            with self._closing:
                if not self._closed:
                    self._clock.wait(self._closing, display.interval)
                closed, expected = self._closed, self._expected
            display.show(self._tally.totals(), expected, self._note())
        display.close()
