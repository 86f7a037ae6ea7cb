"""Workers in actors of Ray, on this machine or on those of a cluster.

An actor is neither restarted nor are its calls repeated by Ray: it would have forgotten its items,
which are given out again from here. Ray is joined if nobody has, and left by Ray itself as the
program ends; it takes seconds to come up, and other dispatchers go on with it.
"""

from __future__ import annotations

import signal
import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from threadllm.engines.fleet import Fleet
from threadllm.engines.worker import Worker, problem_with
from threadllm.exceptions import OptionError, WorkerLost

try:
    import ray
    from ray.exceptions import RayError
except ImportError as error:
    raise OptionError(f"engine='ray': {error}. Install threadllm's extra 'ray'") from error

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from threadllm.dispatcher.hiring import Post, Workforce
    from threadllm.engines.wire import Order, Report
    from threadllm.engines.worker import Spec

# Seconds for more to end, before an exchange does: each costs the driver a part of a millisecond,
# and all of them together are to be no more than a thousand a second.
_MOMENT, _MOMENT_EACH = 0.01, 0.001
_AT_ONCE = 3  # of an actor's methods: an exchange that waits, a nudge, and the end
_TO_END = 10.0  # seconds for an actor that was told to


@dataclass(frozen=True, slots=True)
class Actors:
    """Workers in so many actors of Ray: see `threadllm.connect`."""

    workers: int | None = None
    init: str | None = None
    address: str | None = None

    def hire(self, post: Post) -> Workforce:
        """See `Engine.hire`."""
        _join(self.address)
        number = self.workers or int(ray.cluster_resources().get("CPU", 1))
        return Fleet(post, number, ActorLink, self.init)


class ActorLink:
    """The way to a worker in an actor: see `Link`."""

    def __init__(self, spec: Spec) -> None:
        options = ray.remote(Actor).options(
            max_restarts=0,
            max_task_retries=0,
            max_concurrency=_AT_ONCE,
            scheduling_strategy="SPREAD",  # over the machines
        )
        self._spec = spec
        self._actor = options.remote()

    def start(self) -> None:
        """See `Link.start`. It waits as long as the cluster has no place for it."""
        try:
            problem = ray.get(self._actor.start.remote(self._spec, [*map(str, sys.path)]))
        except RayError as error:  # its machine may have gone: elsewhere there is a place for it
            self.kill()
            raise WorkerLost(f"a worker process cannot be started: {_reason(error)}") from None
        if problem is not None:
            self.kill()
            raise WorkerLost(f"a worker process cannot be started: {problem}", while_starting=True)

    def exchange(self, order: Order) -> Report:
        """See `Link.exchange`."""
        try:
            report: Report = ray.get(self._actor.exchange.remote(order))
        except RayError as error:
            self.kill()  # it may live, where only the way to it is lost
            raise WorkerLost(f"a worker process has died: {_reason(error)}") from None
        return report

    def nudge(self) -> None:
        """See `Link.nudge`."""
        self._actor.nudge.remote()

    def close(self) -> None:
        """See `Link.close`."""
        with suppress(RayError):  # it has died, or does not end
            ray.get(self._actor.close.remote(), timeout=_TO_END)
        self.kill()

    def kill(self) -> None:
        """See `Link.kill`."""
        ray.kill(self._actor)


class Actor:
    """What runs at the other end: a worker, once it has started."""

    _worker: Worker
    _gather: float

    def start(self, spec: Spec, paths: Sequence[str]) -> str | None:
        """Come to work; why it cannot, or None.

        Args:
            spec: What the worker is made of.
            paths: Where the driver finds its modules; they may be here, too.
        """
        sys.path.extend(path for path in paths if path not in sys.path)
        try:
            self._worker = Worker(spec)
            self._gather = max(_MOMENT, _MOMENT_EACH * spec.number)
        except BaseException as error:
            return problem_with(error)
        return None

    def exchange(self, order: Order) -> Report:
        """See `Worker.exchange`."""
        return self._worker.exchange(order, self._gather)

    def nudge(self) -> None:
        """See `Worker.nudge`."""
        self._worker.nudge()

    def close(self) -> None:
        """See `Worker.close`."""
        self._worker.close()


def _join(address: str | None) -> None:
    """See that this process is one of a cluster's.

    Raises:
        OptionError: It is one of another's, or there is none at that address.
    """
    if not ray.is_initialized():
        with _own_handler(), _not_broken_off():
            try:
                ray.init(address)
            except (ConnectionError, ValueError) as error:
                raise OptionError(f"address={address!r}: {error}") from error
        return
    here = ray.get_runtime_context().gcs_address
    if address not in {None, "auto", here}:
        raise OptionError(
            f"address={address!r}: this process has joined {here}; call ray.shutdown() before"
        )


@contextmanager
def _own_handler() -> Iterator[None]:
    """Keep a handler of SIGTERM, if the program has one: Ray sets its own in its place."""
    before: Any = signal.getsignal(signal.SIGTERM)
    yield
    if callable(before) and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _not_broken_off() -> Iterator[None]:
    """Let a first SIGINT wait: Ray crashes where it is broken off as it starts."""
    before: Any = signal.getsignal(signal.SIGINT)
    if not callable(before) or threading.current_thread() is not threading.main_thread():
        yield
        return
    heard: list[int] = []

    def hear(number: int, frame: object) -> None:
        if heard:
            before(number, frame)
        heard.append(number)

    signal.signal(signal.SIGINT, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
    if heard:
        signal.raise_signal(signal.SIGINT)


def _reason(error: RayError) -> str:
    """What Ray says in many lines, in one."""
    return str(error).strip().rpartition("\n")[2].strip()
