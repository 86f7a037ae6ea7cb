"""The arguments of a dispatcher, and what its calls go by that follows from them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypedDict

from threadllm.call import Terms
from threadllm.clock import Sleeper
from threadllm.dispatcher.options import (
    checked_on_stop,
    checked_quota,
    checked_retry,
    checked_timeout,
)
from threadllm.progress import Tally
from threadllm.quota import NO_QUOTAS, Quotas

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from threadllm.clock import Clock
    from threadllm.dispatcher.hiring import Engine
    from threadllm.dispatcher.options import OnStop, Timeout
    from threadllm.outcome import Usage
    from threadllm.quota import Quota
    from threadllm.retry import Retry


class Options(TypedDict, total=False):
    """The arguments of `Dispatcher`, for what makes one on the way."""

    max_workers: int | None
    thread_name_prefix: str
    initializer: Callable[..., object] | None
    initargs: tuple[Any, ...]
    concurrency: int | None
    quota: Quota | None
    quotas: Mapping[str, Quota] | None
    estimate: Callable[..., float | Usage] | None
    on_stop: OnStop
    retry: Retry | None
    request_timeout: Timeout
    progress: bool | Callable[..., Any]
    patch_requests: bool
    trust_returns: bool
    deadline: float | None
    grace: float
    clock: Clock
    engine: Engine | Executor | str | None
    workers: int | None


def terms_by(options: Options, workers: int) -> Terms:
    """What the calls of a dispatcher with so many threads go by.

    Raises:
        OptionError: An option that cannot be meant.
    """
    clock, quotas = options["clock"], options["quotas"]
    terms = Terms(
        quota=checked_quota(options["quota"], options["concurrency"], workers),
        retry=checked_retry(options["retry"]),
        timeout=checked_timeout(options["request_timeout"]),
        sleeper=Sleeper(clock),
        tally=Tally(),
        patched=options["patch_requests"],
        trusted=options["trust_returns"],
        stops=checked_on_stop(options["on_stop"]) == "raise",
        quotas=NO_QUOTAS if quotas is None else Quotas(quotas),
    )
    for one in (terms.quota, *terms.quotas.all):
        one.timed_by(clock)
    return terms
