"""Who else may run a dispatcher's tasks: workers in other processes, whom an engine hires.

The dispatcher feeds, paces, journals and hands back as ever; they only run what they are given.
Engines stand above this room, and say here by what names they are to be had.
"""

from __future__ import annotations

from concurrent.futures import Executor
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from threadllm.call import Limit, Terms
    from threadllm.dispatcher.crew import Crew
    from threadllm.dispatcher.ending import Ending
    from threadllm.dispatcher.task import Task
    from threadllm.dispatcher.workers import Workers


class Workforce(Protocol):
    """Who runs tasks: `Workers`, which are threads here, say more of each."""

    def is_forked(self) -> bool:
        """Whether this is a fork of the process that they work for."""

    def check_process(self) -> None:
        """See that it is none."""

    def add(self, task: Task[Any], *, if_free: bool = False, here: bool = False) -> bool:
        """Take a new task; whether it was taken."""

    def run_here(self, task: Task[Any]) -> None:
        """Run a task in this thread."""

    def close(self) -> None:
        """Take no new task."""

    def drain(self) -> Iterator[Task[Any]]:
        """Hand back all tasks that are not being run."""

    def unwanted(self) -> Iterator[Task[Any]]:
        """Hand back those of them that need not be run any more."""

    def bound(self, task: Task[Any], limit: Limit) -> None:
        """Let a task that is in progress have no longer than that."""

    def end(self, *, wait: bool) -> None:
        """Go home, after `close`, once all has been run."""


class Post(NamedTuple):
    """What workers are hired for.

    Attributes:
        options: The arguments of the dispatcher.
        max_workers: How many calls may be in progress, all of theirs together.
        terms: What calls go by.
        crew: Ends tasks.
        here: Runs what is to be run in this process.
        ending: What is left to do once all has been run.
    """

    options: Mapping[str, Any]
    max_workers: int
    terms: Terms
    crew: Crew
    here: Workers
    ending: Ending


class Engine(Protocol):
    """Where workers come from."""

    def hire(self, post: Post) -> Workforce:
        """Some of them, for one dispatcher.

        Raises:
            OptionError: Something in the options cannot be had elsewhere.
        """


# Filled when the package is imported.
_ENGINES: dict[str, Callable[[int | None], Engine]] = {}
_ADOPTING: list[Callable[[Executor, int | None], Engine]] = []


def offer(name: str, make: Callable[[int | None], Engine]) -> None:
    """Let an engine be had by a name; it is made for so many workers."""
    _ENGINES[name] = make


def adopt(make: Callable[[Executor, int | None], Engine]) -> None:
    """Let an executor be an engine; one is made of it for so many workers."""
    _ADOPTING.append(make)


def checked_engine(engine: Engine | Executor | str | None, workers: int | None) -> Engine | None:
    """The engine, or None for threads of this process.

    Raises:
        OptionError: It is none, or the number of workers cannot be meant.
    """
    if workers is not None and (type(workers) is not int or workers < 1):
        raise OptionError(f"workers={workers!r}: give a whole number of processes, 1 or more")
    if isinstance(engine, str):
        if engine not in _ENGINES:
            names = " or ".join(map(repr, _ENGINES))
            raise OptionError(f"engine={engine!r}: choose {names}, or leave it out for threads")
        return _ENGINES[engine](workers)
    if isinstance(engine, Executor):
        return _ADOPTING[-1](engine, workers)
    if workers is not None:
        raise OptionError(f"workers={workers}: it goes with the name of an engine, or an executor")
    if not (engine is None or hasattr(engine, "hire")):
        raise OptionError(f"engine={engine!r}: give a name, threadllm.connect(...) or an executor")
    return engine
