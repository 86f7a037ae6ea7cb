"""What names an item, and whether the name is still free.

The room must not know how a line was read.
"""

from __future__ import annotations

import reprlib
from collections import defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from threadllm.exceptions import InputError
from threadllm.jobs.job import Job, Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from threadllm.jobs.job import Identity


@dataclass(frozen=True, slots=True)
class Naming:
    """Where an item's name stands.

    Attributes:
        fields: The fields that may hold it; the first one there counts.
        required: Whether a line without one is refused; else its line number names it.
    """

    fields: tuple[str, ...] = ("id",)
    required: bool = False

    def field_of(self, content: Mapping[str, object]) -> str | None:
        """The field that names this object; None if none of them is there.

        Raises:
            InputError: None is there and one is required.
        """
        found = next((name for name in self.fields if name in content), None)
        if found is None and self.required:
            wanted = " or ".join(map(repr, self.fields))
            raise InputError(f"has no field {wanted}. Add it, or let another field be the key")
        return found

    def name(self, content: Mapping[str, object], line: int) -> Identity:
        """The name of this object, which stands in line `line`.

        Raises:
            InputError: It has none and one is required, or it has one that cannot be one.
        """
        found = self.field_of(content)
        if found is None:
            return line
        value = content[found]
        if isinstance(value, str | int | float):
            return value
        raise InputError(
            f"has {reprlib.repr(value)} as its {found!r}. Name it with a string or a number"
        )


@dataclass(frozen=True, slots=True)
class Register:
    """The names taken so far; it grows with the input, by one name a line."""

    _taken: dict[type, set[object]] = field(default_factory=lambda: defaultdict(set))

    def admit(self, job: Job) -> Job | Refused:
        """The job, or its refusal where an earlier line of that name has been admitted."""
        taken = self._taken[type(job.id)]
        if job.id in taken:
            name = reprlib.repr(job.id)
            reason = f"has the id {name} of an earlier line. Give it its own"
            return Refused(job.line, reason, job.id)
        taken.add(job.id)
        return job
