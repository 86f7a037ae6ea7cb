"""More processes, and more machines: where the threads of one interpreter are too few.

`fleet` is what a dispatcher has in place of its threads: it knows what each worker has, and gives
it out again if that dies. `roster` is all of them, `hand` is one worker seen from there, `worker`
is what runs at the other end, `wire` what goes between. `processes` starts workers on this machine,
over `serving` and `frames`, `actors` those of Ray, `chunks` those of other executors. `ordering`,
`packing` and `taking` are the way there and back, `travel` that of functions and values, `failures`
that of errors.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING

from threadllm.dispatcher import Dispatcher
from threadllm.dispatcher.hiring import adopt, offer
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from threadllm.dispatcher.hiring import Engine

__all__ = ["connect"]


def connect(
    engine: str | Executor,
    *,
    workers: int | None = None,
    init: str | None = None,
    address: str | None = None,
) -> Engine:
    """An engine, to be given as `engine=` in place of its name.

    Args:
        engine: "processes": those of this machine. "ray": actors of a Ray cluster. Any other
            `concurrent.futures.Executor` than a `Dispatcher`, such as loky's or Dask's, is second
            best: its workers take the items in chunks, each as long as its slowest, keep to their
            part of the limits, and cannot be told to stop what they have begun.
        workers: How many there are; as many as there are cores, or as the executor says that it
            has, where nothing is said.
        init: "module:function", which each worker calls before all else, such as "django:setup".
        address: Of the cluster, as `ray.init` takes it, if this process has not joined one yet;
            without it, as there: RAY_ADDRESS, or else a cluster of this machine alone, which ends
            with the program.

    Raises:
        OptionError: There is no such engine, or it takes no address, or Ray is not installed, or
            `init` is no name.
    """
    if init is not None and not all(str(init).partition(":")):
        raise OptionError(f"init={init!r}: name a function, as module:function")
    if isinstance(engine, Executor) and address is None:
        return _chunks(engine, workers, init)
    if engine == "ray":
        from threadllm.engines.actors import Actors  # here, as it takes a second

        return Actors(workers, init, address)
    if engine != "processes":
        raise OptionError(f"engine={engine!r}: choose 'processes' or 'ray'")
    if address is not None:
        raise OptionError(f"address={address!r}: it goes with engine='ray'")
    from threadllm.engines.processes import Processes  # here, as most do without

    return Processes(workers, init)


def _chunks(executor: Executor, workers: int | None, init: str | None = None) -> Engine:
    from threadllm.engines.chunks import Chunks

    if isinstance(executor, Dispatcher):
        raise OptionError("engine=Dispatcher(...): it runs threads here; give another executor")
    return Chunks(executor, workers, init)


adopt(_chunks)
offer("processes", lambda workers: connect("processes", workers=workers))
offer("ray", lambda workers: connect("ray", workers=workers))
