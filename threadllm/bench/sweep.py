"""The same function over the same prompts, at one number of requests at a time after the other."""

from __future__ import annotations

from itertools import cycle, islice
from typing import TYPE_CHECKING, Any, TypeVar

from threadllm.bench.level import Counting
from threadllm.bench.report import Report
from threadllm.clock import SYSTEM
from threadllm.dispatcher import DEFAULT_TIMEOUT, Dispatcher
from threadllm.exceptions import OptionError
from threadllm.quota import Quota
from threadllm.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from threadllm.bench.level import Level
    from threadllm.clock import Clock

T = TypeVar("T")

DEFAULT_CONCURRENCY = (1, 8, 32, 128)
_WAVES = 4  # requests for each that may be in flight, where nobody says how many
_FEWEST = 8


def sweep(
    function: Callable[[T], Any],
    prompts: Iterable[T],
    concurrency: Sequence[int] = DEFAULT_CONCURRENCY,
    **options: Any,
) -> Report:
    """Measure all levels; see `levels` for the arguments and what is raised."""
    return Report(tuple(levels(function, prompts, concurrency, **options)))


def levels(
    function: Callable[[T], Any],
    prompts: Iterable[T],
    concurrency: Sequence[int] = DEFAULT_CONCURRENCY,
    *,
    requests: int | None = None,
    request_timeout: float | tuple[float, float] = DEFAULT_TIMEOUT,
    deadline: float | None = None,
    progress: bool | Callable[..., Any] = False,
    clock: Clock = SYSTEM,
) -> Iterator[Level]:
    """Measure one level after the other, and hand each over as soon as it is done.

    A first call that is not counted comes before all others: it opens what there is to open, and
    shows whether anybody answers. What fails is not tried again. A 429 pauses all, as it says, and
    no pace is learnt from it.

    Args:
        function: What is measured: a synchronous function of one prompt, a `Chat` for one.
        prompts: What it is given, in turns, again and again.
        concurrency: How many calls there are at a time, level by level.
        requests: Calls for each level; 4 for each at a time, at least 8, by default.
        request_timeout: As for a `Dispatcher`, in seconds.
        deadline: Seconds for each call.
        progress: A bar for each level, as for a `Dispatcher`.
        clock: Where the time comes from.

    Raises:
        OptionError: No prompt, no level, or a figure that cannot be meant.
        RunStopped: The provider refuses for good, as where a key is not accepted.
        Exception: Whatever the first call has raised.
    """
    given = [*prompts]
    if not given:
        raise OptionError("prompts: give at least one")
    if not concurrency:
        raise OptionError("concurrency: give at least one number")
    if requests is not None and requests < 1:
        raise OptionError(f"requests={requests!r}: give 1 or more")

    def dispatcher(at_a_time: int, *, shown: bool | Callable[..., Any] = progress) -> Dispatcher:
        return Dispatcher(
            at_a_time,
            quota=Quota(at_a_time, adaptive=False, breaker=None, retry_budget=None),
            retry=Retry(attempts=1),
            request_timeout=request_timeout,
            deadline=deadline,
            progress=shown,
            clock=clock,
        )

    def measured() -> Iterator[Level]:
        with dispatcher(1, shown=False) as pool:
            [*pool.map(function, given[:1])]
        for at_a_time in concurrency:
            count = requests or max(_FEWEST, _WAVES * at_a_time)
            counting = Counting(at_a_time)
            with dispatcher(at_a_time) as pool:
                began = clock.monotonic()
                for outcome in pool.outcomes(function, islice(cycle(given), count)):
                    counting.add(outcome)
                seconds = clock.monotonic() - began
            yield counting.level(seconds)

    return measured()
