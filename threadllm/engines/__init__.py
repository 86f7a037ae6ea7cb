"""More processes, and more machines: where the threads of one interpreter are too few.

`fleet` is what a dispatcher has in place of its threads: it knows what each worker has, and gives
it out again if that dies. `hand` is one worker seen from there, `worker` is what runs at the other
end, `wire` what goes between. `processes` starts workers on this machine, over `serving` and
`frames`, `actors` those of Ray. `packing` and `taking` are the way there and back, `travel` that of
functions and values, `failures` that of errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.dispatcher.hiring import offer
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from threadllm.dispatcher.hiring import Engine

__all__ = ["connect"]


def connect(
    engine: str,
    *,
    workers: int | None = None,
    init: str | None = None,
    address: str | None = None,
) -> Engine:
    """An engine, to be given as `engine=` in place of its name.

    Args:
        engine: "processes": those of this machine. "ray": actors of a Ray cluster.
        workers: How many there are; as many as there are cores where nothing is said.
        init: "module:function", which each worker calls before all else, such as "django:setup".
        address: Of the cluster, as `ray.init` takes it, if this process has not joined one yet;
            without it, as there: RAY_ADDRESS, or else a cluster of this machine alone, which ends
            with the program.

    Raises:
        OptionError: There is no such engine, or it takes no address, or Ray is not installed.
    """
    if engine == "ray":
        from threadllm.engines.actors import Actors  # here, as it takes a second

        return Actors(workers, init, address)
    if engine != "processes":
        raise OptionError(f"engine={engine!r}: choose 'processes' or 'ray'")
    if address is not None:
        raise OptionError(f"address={address!r}: it goes with engine='ray'")
    from threadllm.engines.processes import Processes  # here, as most do without

    return Processes(workers, init)


offer("processes", lambda workers: connect("processes", workers=workers))
offer("ray", lambda workers: connect("ray", workers=workers))
