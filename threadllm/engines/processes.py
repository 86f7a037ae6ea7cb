"""Workers in processes of this machine: the standard library's `subprocess`, and two pipes each.

A process is started by a command of its own, so that it neither forks threads nor runs the script
that started it a second time. It is in a session of its own: Ctrl-C reaches the driver alone. It
hears of the driver's end by its pipe.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, cast

from threadllm.engines import frames
from threadllm.engines.fleet import Fleet
from threadllm.engines.serving import CLOSE, NUDGE
from threadllm.exceptions import OptionError, WorkerLost

if TYPE_CHECKING:
    from collections.abc import Iterator

    from threadllm.dispatcher.hiring import Post, Workforce
    from threadllm.engines.wire import Order, Report
    from threadllm.engines.worker import Spec

_BEGIN = (
    "import json, sys; sys.path[:] = json.loads(sys.stdin.buffer.readline()); "
    "from threadllm.engines.serving import main; main()"
)
_IS_POSIX = os.name == "posix"  # elsewhere a process is handed no further descriptors
_STDOUT, _STDERR = 1, 2
_TO_END = 10.0  # seconds for a process that was told to


@dataclass(frozen=True, slots=True)
class Processes:
    """Workers in so many processes of this machine: see `threadllm.connect`."""

    workers: int | None = None
    init: str | None = None

    def hire(self, post: Post) -> Workforce:
        """See `Engine.hire`."""
        if not _IS_POSIX:
            raise OptionError("engine='processes': it needs Linux or macOS; 'ray' goes on Windows")
        return Fleet(post, self.workers or os.cpu_count() or 1, ProcessLink, self.init)


class ProcessLink:
    """The way to a worker in a process, which begins at once: see `Link`."""

    def __init__(self, spec: Spec) -> None:
        with _stdout() as stdout:
            self._process = subprocess.Popen(  # noqa: S603 our own command
                [sys.executable, "-c", _BEGIN, str(stdout)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                pass_fds=[stdout],
                start_new_session=True,
            )
        self._orders = cast("IO[bytes]", self._process.stdin)
        self._answers = cast("IO[bytes]", self._process.stdout)
        self._writing = threading.Lock()  # guards the pipe to it
        self._is_missed = False  # no lock: see `nudge`
        self._spec = spec

    def start(self) -> None:
        """See `Link.start`."""
        try:
            self._orders.write(json.dumps([*map(str, sys.path)]).encode() + b"\n")
            frames.send(self._orders, self._spec)
            problem = frames.receive(self._answers)
        except (EOFError, OSError):
            ended = self._how_it_ended()
            self._let_go()
            raise WorkerLost(f"a worker process cannot be started: {ended}") from None
        if problem is not None:
            self._end()
            raise WorkerLost(f"a worker process cannot be started: {problem}", while_starting=True)

    def exchange(self, order: Order) -> Report:
        """See `Link.exchange`."""
        try:
            with self._writing:
                frames.send(self._orders, order)
            if self._is_missed:  # while that was written
                self.nudge()
            report: Report = frames.receive(self._answers)
        except (EOFError, OSError):
            ended = self._how_it_ended()
            self._let_go()
            raise WorkerLost(f"a worker process has died: {ended}") from None
        return report

    def nudge(self) -> None:
        """See `Link.nudge`. Whoever writes an order sees that it was wanted meanwhile."""
        self._is_missed = True
        if self._writing.acquire(blocking=False):
            try:
                self._is_missed = False
                frames.send(self._orders, NUDGE)
            except (OSError, ValueError):  # it has died, or been let go: its exchange says so
                return
            finally:
                self._writing.release()

    def close(self) -> None:
        """See `Link.close`."""
        try:
            with self._writing:
                frames.send(self._orders, CLOSE)
        except (OSError, ValueError):  # it has died, and perhaps been let go
            self._let_go()
        else:
            self._end()

    def kill(self) -> None:
        """See `Link.kill`: whoever waits for its answer hears of it."""
        self._process.kill()

    def _end(self) -> None:
        """Wait until it has ended by itself, but not for ever."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_TO_END)
        self._let_go()

    def _let_go(self) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._orders, self._answers):
            with suppress(OSError):  # what was not written yet can be no more
                pipe.close()

    def _how_it_ended(self) -> str:
        try:
            status = self._process.wait(1.0)
        except subprocess.TimeoutExpired:
            return "it has closed its pipe"
        return f"by signal {-status}" if status < 0 else f"it exited with {status}"


@contextmanager
def _stdout() -> Iterator[int]:
    """Where a process prints what its calls print: a descriptor, while it is started."""
    try:
        stdout = os.dup(_STDOUT)
    except OSError:  # there is none
        stdout = os.dup(_STDERR)
    try:
        yield stdout
    finally:
        os.close(stdout)
