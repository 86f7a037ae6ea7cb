"""A journal as users give it: which file, and how it is to be used."""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, dataclass, replace
from typing import TYPE_CHECKING, Any

from threadllm.clock import SYSTEM
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable

    from threadllm.clock import Clock
    from threadllm.journal.opened import OpenJournal


@dataclass(frozen=True, slots=True)
class Journal:
    """A file that remembers finished items, for `outcomes(…, journal=…)` and `map`.

    An item goes by the name that `key=` gives it; else by the `id` of a mapping and its content;
    else by its content. What has a value is not run again under that name.

    Attributes:
        path: The file; it is made if it is not there.
        version: Any text. What was journalled under another version is run again: change it with
            the prompt's template, say, or with what the function closes over. What a
            `functools.partial` binds counts by itself, as far as JSON can hold it.
        retry_failed: Which items that failed in an earlier run are run again. None: all but those
            that the provider refused for their own sake (a 400, a 404). True: those too. False:
            none.
        encode: Makes what JSON can hold of a value that the function returned. Without it there
            come back as they were: text, numbers, None, lists, tuples, sets, dicts, bytes, dates
            and times, Decimal, UUID, paths, and enums, dataclasses, named tuples and pydantic
            models whose classes are loaded. Other subclasses of text, numbers, lists and dicts
            come back as what they are derived from.
        decode: Makes the value of that.
        job: What it is the journal of; the function's name by default. It serves no other job.

    Raises:
        OptionError: One of `encode` and `decode` without the other, or what cannot be meant.
    """

    path: str | os.PathLike[str]
    _: KW_ONLY
    version: str = ""
    retry_failed: bool | None = None
    encode: Callable[[Any], Any] | None = None
    decode: Callable[[Any], Any] | None = None
    job: str | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.path, str | os.PathLike):
            raise OptionError(f"journal={self.path!r}: give the path of a file")
        if not isinstance(self.version, str):
            raise OptionError(f"version={self.version!r}: give it a text")
        if self.retry_failed not in {None, True, False}:
            raise OptionError(f"retry_failed={self.retry_failed!r}: give True, False or None")
        if (self.encode is None) is not (self.decode is None):
            raise OptionError("encode and decode: give both, as each undoes the other")

    def open(self, job: str, bound: str = "", clock: Clock = SYSTEM) -> OpenJournal:
        """Open it, for this process alone, until it is closed.

        Args:
            job: What it is to be the journal of, where it does not say.
            bound: What the items are further told apart by, as if of another version.
            clock: Says when its rows were written.

        Raises:
            OptionError: The file cannot be used: it is another job's, in use, or no journal.
        """
        from threadllm.journal.opened import OpenJournal  # here, as it brings SQLite along

        version = " ".join(filter(None, [self.version, bound]))
        return OpenJournal(replace(self, version=version), self.job or job, clock)


def checked_journal(journal: Journal | str | os.PathLike[str] | None) -> Journal | None:
    """A journal, be it that only its path is given.

    Raises:
        OptionError: It is neither.
    """
    return journal if journal is None or isinstance(journal, Journal) else Journal(journal)
