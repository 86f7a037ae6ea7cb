"""Results into the database, in the calling thread: one by one, or by batches that may break."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext
from functools import partial
from typing import TYPE_CHECKING, Any, NoReturn

from django.db import DatabaseError, OperationalError, connections, router, transaction
from django.db.models import Model

from threadllm.contrib.django.exceptions import RowDeletedError
from threadllm.contrib.django.reconnecting import once_more
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from threadllm.outcome import Outcome

    Pair = tuple[Any, Any]
    Ended = Outcome[Any, Any]

_DELETED = "it was deleted while its result was waited for"


class Saver:
    """Saves what is finished, and tells of each row whether it was.

    Args:
        save: Saves one result.
        save_batch: Saves several pairs of object and result.
        batch_size: How many; 1 without a `save_batch`.
        saved: Told of each result that was.
        failed: Told of each that could not be, and why.

    Raises:
        OptionError: Nothing that saves, or no size of a batch.
    """

    def __init__(
        self,
        save: Callable[[Any, Any], object] | None,
        save_batch: Callable[[Sequence[Pair]], object] | None,
        batch_size: int | None,
        saved: Callable[[Ended], None],
        failed: Callable[[Ended, Exception], None],
    ) -> None:
        if save is None and save_batch is None:
            raise OptionError("save: give save(obj, result), or save_batch(pairs)")
        if batch_size is not None and (batch_size < 1 or save_batch is None):
            raise OptionError(
                f"batch_size={batch_size}: at least one row, and a save_batch(pairs) to save them"
            )
        self._save = save
        self._save_batch = save_batch
        self._size = (batch_size or 100) if save_batch is not None else 1
        self._saved = saved
        self._failed = failed
        self._waiting: list[Ended] = []

    def add(self, outcome: Ended) -> None:
        """Save a result, now or with those to come."""
        self._waiting.append(outcome)
        if len(self._waiting) >= self._size:
            self.flush()

    def flush(self) -> None:
        """Save all that is left; what is interrupted is then the last, and may be tried again."""
        waiting = self._waiting
        if self._save_batch is not None and len(waiting) > 1 and self._is_saved(waiting):
            while waiting:
                self._saved(waiting.pop(0))
        while waiting:
            outcome = waiting.pop(0)
            try:
                flaw = self._flaw_of(outcome)
            except BaseException:
                waiting.append(outcome)
                raise
            if flaw is None:
                self._saved(outcome)
            else:
                self._failed(outcome, flaw)

    def _flaw_of(self, outcome: Ended) -> Exception | None:
        """Save a result; why it could not be, if so."""
        try:
            once_more(partial(self._save_one, outcome))
        except Exception as error:  # noqa: BLE001  # whatever saving raises is its row's
            return error
        return None

    def _is_saved(self, batch: list[Ended]) -> bool:
        """Whether the batch could be saved as a whole. If not, nothing of it was."""
        try:
            once_more(partial(self._save_all, [*map(_pair, batch)]))
        except Exception:  # noqa: BLE001  # row by row it is seen whose fault that is
            return False
        return True

    def _save_all(self, pairs: list[Pair]) -> None:
        assert self._save_batch is not None
        with _no_inserts([obj for obj, _ in pairs]), transaction.atomic(_database(pairs[0][0])):
            self._save_batch(pairs)

    def _save_one(self, outcome: Ended) -> None:
        obj, result = _pair(outcome)
        if self._save is None:
            self._save_all([(obj, result)])
            return
        with _no_inserts([obj]), _savepoint(_database(obj)):
            self._save(obj, result)


def _pair(outcome: Ended) -> Pair:
    return outcome.item.obj, outcome.value


def _database(obj: object) -> str | None:
    return router.db_for_write(type(obj), instance=obj) if isinstance(obj, Model) else None


def _savepoint(alias: str | None) -> AbstractContextManager[object]:
    """Inside a transaction one that fails must not take the others with it."""
    connection = connections[alias or "default"]
    return transaction.atomic(alias) if connection.in_atomic_block else nullcontext()


@contextmanager
def _no_inserts(objs: list[Any]) -> Iterator[None]:
    """Let no row be inserted again that was deleted, while a block lasts.

    Where there is nothing to update `Model.save` inserts, by this method of its; with
    `update_fields` it raises.

    Raises:
        RowDeletedError: There is nothing to update.
    """
    rows = [obj for obj in objs if isinstance(obj, Model) and not obj._state.adding]  # noqa: SLF001

    def refuse(*_: object, **__: object) -> NoReturn:
        raise RowDeletedError(_DELETED)

    for row in rows:
        vars(row)["_do_insert"] = refuse
    try:
        yield
    except OperationalError:  # of the connection, not of the row
        raise
    except DatabaseError as error:
        if len(rows) == 1 and _is_deleted(rows[0]):
            raise RowDeletedError(_DELETED) from error
        raise
    finally:
        for row in rows:
            vars(row).pop("_do_insert", None)


def _is_deleted(row: Model) -> bool:
    same = type(row)._base_manager.using(_database(row)).filter(pk=row.pk)  # noqa: SLF001
    return not same.exists()
