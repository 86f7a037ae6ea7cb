"""What Django keeps for each thread beside its connections: it goes along with an item's call."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, NamedTuple

from django.urls import get_script_prefix, get_urlconf, set_script_prefix, set_urlconf
from django.utils import timezone, translation

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import tzinfo


class Surroundings(NamedTuple):
    """Language, time zone, script prefix and URL configuration of one thread at one moment.

    They are set by hand, as only some versions of asgiref keep them in context variables.
    """

    language: str | None
    time_zone: tzinfo
    script_prefix: str
    urlconf: str | None

    @classmethod
    def here(cls) -> Surroundings:
        """Those of this thread."""
        return cls(
            translation.get_language(),
            timezone.get_current_timezone(),
            get_script_prefix(),
            get_urlconf(),
        )

    @contextmanager
    def entered(self) -> Iterator[None]:
        """Be within them while a block lasts; what it changes does not outlast it."""
        with ExitStack() as stack:
            stack.callback(set_urlconf, get_urlconf())
            stack.callback(set_script_prefix, get_script_prefix())
            stack.enter_context(timezone.override(self.time_zone))
            stack.enter_context(translation.override(self.language))
            set_script_prefix(self.script_prefix)
            set_urlconf(self.urlconf)
            yield
