"""The process of a worker: it is told what to do over its stdin, and answers over its stdout.

What its calls print goes where its driver's prints go. It ends when it is told to, or when that
process has gone, however that ended. Ctrl-C is its driver's alone.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from queue import SimpleQueue
from typing import IO, TYPE_CHECKING

from threadllm.engines import frames
from threadllm.engines.worker import Worker, problem_with

if TYPE_CHECKING:
    from threadllm.engines.wire import Order
    from threadllm.engines.worker import Spec

NUDGE, CLOSE = "nudge", "close"
_STDOUT = 1
_LAST_GRACE = 2.0  # seconds for calls that are broken off, as nobody is there any more


def main() -> None:
    """Make a worker of what comes first, and serve it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    orders, answers = sys.stdin.buffer, _stdout_for_answers()
    spec: Spec = frames.receive(orders)
    try:
        worker = Worker(spec)
    except BaseException as error:
        frames.send(answers, problem_with(error))
        return
    frames.send(answers, None)
    _serve(worker, orders, answers)


def _serve(worker: Worker, orders: IO[bytes], answers: IO[bytes]) -> None:
    told: SimpleQueue[Order | None] = SimpleQueue()
    is_told_to_end = threading.Event()

    def listen() -> None:
        try:
            while (message := frames.receive(orders)) != CLOSE:
                if message == NUDGE:
                    worker.nudge()
                else:
                    told.put(message)
            is_told_to_end.set()
        except (EOFError, OSError):
            worker.abandon()
        told.put(None)

    listener = threading.Thread(target=listen, name="threadllm-orders", daemon=True)
    listener.start()
    while (order := told.get()) is not None:
        try:
            frames.send(answers, worker.exchange(order))
        except OSError:  # nobody reads: the listener hears of it, too
            break
    if is_told_to_end.is_set():
        worker.close()
    _end_soon()
    listener.join()


def _end_soon() -> None:
    """End even if a call goes on that nobody waits for any more."""
    end = threading.Timer(_LAST_GRACE, os._exit, [1])
    end.daemon = True
    end.start()


def _stdout_for_answers() -> IO[bytes]:
    """What stdout was; from now on it is the driver's, or its stderr where that cannot be had."""
    answers = os.fdopen(os.dup(_STDOUT), "wb")
    os.dup2(int(sys.argv[1]), _STDOUT)
    return answers
