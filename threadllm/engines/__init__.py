"""More processes, and more machines: where the threads of one interpreter are too few.

`fleet` is what a dispatcher has in place of its threads: it knows what each worker has, and gives
it out again if that dies. `hand` is one worker seen from there, `worker` is what runs at the other
end, `wire` what goes between. `processes` starts workers on this machine, over `serving` and
`frames`. `packing` and `taking` are the way there and back, `travel` that of functions and values,
`failures` that of errors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.dispatcher.hiring import offer
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from threadllm.dispatcher.hiring import Engine

__all__ = ["connect"]


def connect(engine: str, *, workers: int | None = None, init: str | None = None) -> Engine:
    """An engine, to be given as `engine=` in place of its name.

    Args:
        engine: "processes": those of this machine.
        workers: How many there are; as many as there are cores where nothing is said.
        init: "module:function", which each worker calls before all else, such as "django:setup".

    Raises:
        OptionError: There is no such engine.
    """
    if engine != "processes":
        raise OptionError(f"engine={engine!r}: choose 'processes'")
    from threadllm.engines.processes import Processes  # here, as most do without

    return Processes(workers, init)


offer("processes", lambda workers: connect("processes", workers=workers))
