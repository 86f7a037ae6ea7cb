"""What workers say, taken for what has become of tasks here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from threadllm.engines.failures import error_of
from threadllm.engines.travel import unpack
from threadllm.outcome import RequestRecord, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from threadllm.call import Terms
    from threadllm.dispatcher.crew import Crew
    from threadllm.dispatcher.task import Task
    from threadllm.engines.wire import Envelope
    from threadllm.progress import Figure

_GAUGES = ("parked", "retrying")  # figures that come down again


class Taker:
    """Ends tasks as workers say.

    Args:
        terms: What calls go by.
        crew: Ends them.
    """

    def __init__(self, terms: Terms, crew: Crew) -> None:
        self._terms = terms
        self._crew = crew

    def conclude(self, task: Task[Any], envelope: Envelope) -> bool:
        """End a task; false if it has not come to its end, and is wanted still."""
        task.put_down()
        if envelope.undone:
            if not task.submission.run.is_stopped:
                return False
            self._crew.leave_undone(task)
            return True
        records = tuple(RequestRecord(*parts) for parts in envelope.requests)
        task.took(records, Usage(*envelope.usage), envelope.elapsed, envelope.retries)
        try:
            error = None if envelope.failure is None else error_of(envelope.failure)
            value = unpack(envelope.value) if envelope.value is not None else None
        except BaseException as unread:  # its class is not to be had here, say
            error = unread
        if error is None:
            self._crew.succeed(task, value)
        else:
            self._fail(task, envelope.advice, error)
        return True

    def count(self, gauges: dict[str, float], figures: Mapping[str, float]) -> None:
        """Count what a worker has counted; `gauges` has what is to be taken back if it dies."""
        for name, by in figures.items():
            self._terms.tally.count(cast("Figure", name), by)
            if name in _GAUGES:
                gauges[name] = gauges.get(name, 0) + by

    def take_back(self, gauges: dict[str, float]) -> None:
        """Count no more what a worker had going that has died."""
        for name in [*gauges]:
            self._terms.tally.count(cast("Figure", name), -gauges.pop(name))

    def _fail(self, task: Task[Any], advice: str | None, error: BaseException) -> None:
        run = task.submission.run
        if self._terms.stops and advice is not None:
            task.stopped_run = self._crew.stop(run, error, advice)
        self._crew.fail(task, error)
        if task.stopped_run:
            self._terms.look_again()
