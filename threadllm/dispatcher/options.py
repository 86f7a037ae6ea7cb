"""The options of a dispatcher, checked before anything starts."""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING, Any, Literal, get_args

from threadllm.exceptions import OptionError
from threadllm.journal import Journal
from threadllm.outcome import Usage
from threadllm.quota import Need, Quota
from threadllm.retry import Retry

if TYPE_CHECKING:
    from collections.abc import Callable

Unpack = Literal["args", "kwargs"]
Timeout = float | tuple[float, float]
OnStop = Literal["raise", "continue"]
JournalOrPath = Journal | str | os.PathLike[str]

DEFAULT_WORKERS = 32
DEFAULT_TIMEOUT = (10.0, 600.0)  # seconds to connect, seconds to wait for bytes
DEFAULT_GRACE = 10.0  # seconds
MOST_WORKERS = 10_000


def checked_quota(quota: Quota | None, concurrency: int | None, workers: int) -> Quota:
    """The quota of a dispatcher: the one that was given, or one with so many slots.

    Raises:
        OptionError: Both were given, or what is no quota.
    """
    if quota is None:
        return Quota(workers if concurrency is None else concurrency)
    if concurrency is not None:
        raise OptionError("concurrency and quota: give one; a quota has its own concurrency")
    if not isinstance(quota, Quota):
        raise OptionError(f"quota={quota!r}: give it a Quota(); concurrency= takes a number")
    return quota


def checked_workers(max_workers: int | None, *, elsewhere: bool = False) -> int:
    """How many threads; a default where none is given.

    Args:
        max_workers: As given.
        elsewhere: Whether they are those of several processes, which are checked one by one.

    Raises:
        OptionError: Too few or too many.
    """
    if max_workers is None:
        return DEFAULT_WORKERS
    if type(max_workers) is not int or max_workers < 1:
        raise OptionError(f"max_workers={max_workers!r}: give a whole number of threads, 1 or more")
    if max_workers > MOST_WORKERS and not elsewhere:
        raise OptionError(
            f"max_workers={max_workers}: more than {MOST_WORKERS} threads of one process gain "
            "nothing, as they share one interpreter lock, and cost some 50 kB of memory each"
        )
    return max_workers


def checked_timeout(timeout: Timeout) -> tuple[float, float]:
    """Seconds to connect and seconds to wait for bytes.

    Raises:
        OptionError: They are not two such figures, or one for both.
    """
    try:
        connect, read = timeout if isinstance(timeout, tuple) else (timeout, timeout)
        sensible = all(math.isfinite(seconds) and seconds > 0 for seconds in (connect, read))
    except (TypeError, ValueError):
        sensible = False
    if not sensible:
        raise OptionError(f"request_timeout={timeout}: give seconds, more than 0, or two such")
    return connect, read


def checked_retry(retry: Retry | None) -> Retry:
    """The policy; the default one where none is given.

    Raises:
        OptionError: It is none.
    """
    if retry is not None and not isinstance(retry, Retry):
        raise OptionError(f"retry={retry!r}: give a policy, such as Retry(attempts=3)")
    return retry or Retry()


def checked_progress(progress: object) -> bool | Callable[..., Any]:
    """What shows the progress, or whether anything does.

    Raises:
        OptionError: Neither.
    """
    if callable(progress):
        return progress
    if progress is None or isinstance(progress, bool):
        return bool(progress)
    raise OptionError(f"progress={progress!r}: give True, or what makes a bar, such as tqdm.tqdm")


def checked_on_stop(on_stop: OnStop) -> OnStop:
    """What becomes of a run where the provider refuses for good.

    Raises:
        OptionError: A choice that there is not.
    """
    if on_stop not in get_args(OnStop):
        raise OptionError(f"on_stop={on_stop!r}: choose 'raise' or 'continue'")
    return on_stop


def checked_grace(grace: float) -> float:
    """Seconds that calls in flight have when their run is cancelled.

    Raises:
        OptionError: No number of seconds.
    """
    try:
        sensible = math.isfinite(grace) and grace >= 0
    except TypeError:
        sensible = False
    if not sensible:
        raise OptionError(f"grace={grace!r}: give seconds, 0 or more")
    return grace


def checked_need(tokens: object) -> Need:
    """What an estimate comes to: tokens as a number, taken as tokens in, or as a usage.

    Raises:
        OptionError: It is neither.
    """
    if isinstance(tokens, Usage):
        return Need(tokens.input_tokens, tokens.output_tokens)
    if isinstance(tokens, (int, float)) and math.isfinite(tokens) and tokens >= 0:
        return Need(tokens)
    raise OptionError(f"estimate: it gave {tokens!r}; let it give a number of tokens, or a Usage")


def checked_window(buffersize: int | None, usual: int) -> int:
    """How many items may be pulled ahead: as many as usual where nothing is said.

    Raises:
        OptionError: Not one item.
    """
    if buffersize is None:
        return usual
    if buffersize < 1:
        raise OptionError(f"buffersize={buffersize}: at least one item must be pulled")
    return buffersize
