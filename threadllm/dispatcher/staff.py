"""Who works for a dispatcher, behind its face: they take work on, and end it in one of three ways.

What was given is finished; or what has not begun is cancelled; or all of it is, with a time of
grace for what is in flight.
"""

from __future__ import annotations

import weakref
from functools import partial
from typing import TYPE_CHECKING, Any

from threadllm.call import checked_seconds
from threadllm.dispatcher.cancelling import Cancelling
from threadllm.dispatcher.crew import Crew
from threadllm.dispatcher.deadlines import Deadlines
from threadllm.dispatcher.ending import Ending
from threadllm.dispatcher.hiring import Post
from threadllm.dispatcher.options import checked_grace, checked_progress
from threadllm.dispatcher.submitting import Submitter
from threadllm.dispatcher.watchdog import Watchdog
from threadllm.dispatcher.workers import Workers
from threadllm.progress import Painter, display

if TYPE_CHECKING:
    from threadllm.call import Terms
    from threadllm.dispatcher.arguments import Options
    from threadllm.dispatcher.hiring import Engine, Workforce
    from threadllm.dispatcher.results import Results
    from threadllm.dispatcher.threads import Threads


class Staff:
    """The rooms of one dispatcher, made to know each other.

    Args:
        owner: The dispatcher; when it is collected, its staff may go.
        terms: What its calls go by.
        threads: Where they run.
        max_workers: How many at a time.
        options: See `Dispatcher`.
        engine: Hires others to do the work; None for the threads.

    Attributes:
        painter: Paints the progress, if anybody wants to see it.
        threads: Where calls run, if nobody else is hired for that.
        deadlines: Those of items.
        workers: Who has the tasks.
        submitter: Makes them.
        cancelling: Cancels runs.
        unread: Runs of map whose input is not all submitted.
    """

    def __init__(
        self,
        owner: object,
        terms: Terms,
        threads: Threads,
        max_workers: int,
        options: Options,
        engine: Engine | None = None,
    ) -> None:
        self._terms = terms
        clock = terms.sleeper.clock
        progress, deadline = checked_progress(options["progress"]), options["deadline"]
        self.painter = (
            Painter(terms.tally, partial(display, progress, clock), clock, terms.note)
            if progress
            else None
        )
        watchdog = Watchdog(clock)
        seconds = None if deadline is None else checked_seconds(deadline)
        self.threads = threads
        self.deadlines = Deadlines(terms, watchdog, seconds)
        ending = Ending(terms.connections, watchdog, self.painter)
        self._crew = Crew(terms, self.deadlines)
        here = Workers(threads, max_workers, self._crew, clock, ending)
        self.workers: Workforce = here
        if engine is not None:
            self.workers = engine.hire(Post(options, max_workers, terms, self._crew, here, ending))
            weakref.finalize(owner, self.workers.close)
        self.submitter = Submitter(terms, self.deadlines, self.workers, options["estimate"])
        grace = checked_grace(options["grace"])
        self.cancelling = Cancelling(terms, self.workers, self._crew, grace, has_bar=bool(progress))
        # No lock: each step of a set is atomic.
        self.unread: set[Results[Any]] = set()
        weakref.finalize(owner, ending.begin)

    def close(self, *, cancel: bool = False) -> None:
        """Take no more; what was given is run, or begun no more: then calls that wait end, too."""
        if self.workers.is_forked():
            return
        if cancel:
            self._terms.stop()
        else:
            for results in [*self.unread]:
                results.submit_rest()
        self.leave_unread()
        self.workers.close()
        if cancel:
            for task in self.workers.drain():
                self._crew.drop(task)

    def end(self, *, wait: bool) -> None:
        """Let go of the threads, after `close`; perhaps wait until all is done.

        Raises:
            RuntimeError: This thread is one of those that are waited for.
        """
        if not self.workers.is_forked():  # else they are its parent's, to end and to wait for
            self.workers.end(wait=wait)

    def leave_unread(self) -> None:
        """Submit no more of what is not read."""
        while self.unread and not self.workers.is_forked():
            self.unread.pop().leave()

    def cancel(self, grace: float | None = None) -> None:
        """Take no more, and cancel all runs: see `Cancelling.cancel`."""
        if self.workers.is_forked():
            return
        self.leave_unread()
        self.workers.close()
        for run in self.submitter.runs:
            self.cancelling.cancel(run, grace)
