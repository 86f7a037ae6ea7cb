"""Where rows come from: a query set, page by page, or whatever else gives items.

No cursor is open between two pages, and no transaction, as a page may last for minutes. Pages go by
the primary key: an offset would skip rows where those that are done leave the query set.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from django.db.models import Model, QuerySet

from threadllm.contrib.django.reconnecting import once_more
from threadllm.exceptions import OptionError
from threadllm.journal.names import name_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from django.db.models.sql import Query

_PAGE = 100  # rows, at the least


class Source(Protocol):
    """Gives rows."""

    def __iter__(self) -> Iterator[Any]:
        """The rows, fetched as they are asked for."""

    def __len__(self) -> int:
        """How many there are.

        Raises:
            TypeError: That is not known.
        """


def source_of(given: object, *, limit: int | None, window: int) -> Source:
    """The rows of a query set, or the items of any other iterable.

    Args:
        given: The query set or iterable.
        limit: How many at most.
        window: How many may be in hand at a time.

    Raises:
        OptionError: It gives no model instances, or nothing at all, or less than none are wanted.
    """
    if limit is not None and limit < 0:
        raise OptionError(f"limit={limit}: give a number of rows, 0 or more")
    if not isinstance(given, QuerySet):
        return Items(given, limit)
    if vars(given)["_fields"] is not None:  # nothing else tells
        raise OptionError("values() and values_list() give no rows to save: leave them out")
    size = max(window, _PAGE)
    is_keyed = not _has_order_of_its_own(given.query)
    return KeyedRows(given, limit, size) if is_keyed else ListedRows(given, limit, size)


def _has_order_of_its_own(query: Query) -> bool:
    """Whether rows would be others, or come otherwise, if it were by their keys. Not Meta's."""
    own = (query.is_sliced, query.order_by, query.extra_order_by, query.distinct_fields)
    return any(own) or bool(query.combinator) or not query.standard_ordering


def key_of(item: object, index: int) -> object:
    """What an item is called in reports: a row's primary key, a mapping's id, or its index."""
    if isinstance(item, Model):
        return item.pk
    return item.get("id", index) if isinstance(item, dict) else index


def journal_name(item: object) -> object:
    """What a journal knows an item by: a row by its primary key, anything else by its content.

    Raises:
        OptionError: It has no name that would be its own in another run.
    """
    if not isinstance(item, Model):
        return name_of(item)
    return item.pk if isinstance(item.pk, int | str | tuple) else str(item.pk)


class Items:
    """Any iterable."""

    def __init__(self, given: Any, limit: int | None) -> None:
        try:
            iter(given)
        except TypeError as error:
            raise OptionError(f"{given!r}: give a query set, or what else gives items") from error
        self._given = given
        self._limit = limit

    def __iter__(self) -> Iterator[Any]:
        return islice(self._given, self._limit)

    def __len__(self) -> int:
        return _at_most(self._limit, len(self._given))


class KeyedRows:
    """A query set in the order of its primary key, each page from the last one's end."""

    def __init__(self, rows: QuerySet[Any], limit: int | None, size: int) -> None:
        self._rows = rows.order_by("pk")
        self._limit = limit
        self._size = size

    def __len__(self) -> int:
        return _at_most(self._limit, once_more(self._rows.count))

    def __iter__(self) -> Iterator[Any]:
        return islice(self._all(), self._limit)

    def _all(self) -> Iterator[Any]:
        after = self._rows
        while page := _fetched(after[: self._size]):
            seen = {row.pk: row for row in page}  # a join may repeat them
            yield from seen.values()
            after = self._rows.filter(pk__gt=page[-1].pk)


class ListedRows:
    """A query set that has an order or a slice of its own: its keys at once, rows page by page."""

    def __init__(self, rows: QuerySet[Any], limit: int | None, size: int) -> None:
        self._rows = rows
        self._limit = limit
        self._size = size
        self._keys: list[Any] | None = None

    def __len__(self) -> int:
        return len(self._listed())

    def __iter__(self) -> Iterator[Any]:
        keys = iter(self._listed())
        unsliced = self._unsliced()
        while page := [*islice(keys, self._size)]:
            found = {row.pk: row for row in _fetched(unsliced.filter(pk__in=page))}
            yield from (found[key] for key in page if key in found)

    def _listed(self) -> Sequence[Any]:
        if self._keys is None:
            keys = once_more(lambda: dict.fromkeys(self._rows.values_list("pk", flat=True)))
            self._keys = [*islice(keys, self._limit)]
        return self._keys

    def _unsliced(self) -> QuerySet[Any]:
        """The same, to be narrowed further; rows that have left it meanwhile are left out."""
        rows: QuerySet[Any] = self._rows.all()
        if rows.query.combinator:  # no union can be
            rows = rows.model._base_manager.using(rows.db)  # noqa: SLF001
        else:
            rows.query.clear_limits()
            rows.query.clear_ordering(force=True)
            rows.query.distinct_fields = ()
        return rows


def _fetched(rows: QuerySet[Any]) -> list[Any]:
    return once_more(lambda: [*rows.all()])  # a query set that failed halfway is not asked again


def _at_most(limit: int | None, number: int) -> int:
    return number if limit is None else min(limit, number)
