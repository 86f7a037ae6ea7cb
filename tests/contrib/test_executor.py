"""DjangoExecutor: what code with a ThreadPoolExecutor takes in its place."""

import threading
from concurrent.futures import as_completed

import pytest
from articles.models import Article
from django.test import override_settings

from tests.contrib.support import articles, backends
from tests.support import until
from threadllm import OptionError, Retry
from threadllm.contrib.django import DjangoExecutor, WorkerQueryError
from threadllm.testing import inline


def name_of(pk):
    return Article.objects.using("postgres").get(pk=pk).author.name


def test_it_takes_the_place_of_a_thread_pool():
    """submit, map and as_completed; afterwards there is one connection."""
    keys = [row.pk for row in articles(40, "postgres")]
    with DjangoExecutor(max_workers=16) as executor:
        futures = [executor.submit(name_of, key) for key in keys]
        names = [future.result() for future in as_completed(futures)]
        assert sorted(names) == sorted(executor.map(name_of, keys))
        outcomes = [*executor.outcomes(name_of, keys, ordered=True)]
    assert [one.value for one in outcomes] == [f"author {n}" for n in range(40)]
    until(lambda: backends() == 1)


def test_a_shutdown_that_is_asked_for_closes_as_well():
    """As the end of a block does."""
    (row,) = articles(1, "postgres")
    executor = DjangoExecutor(1)
    assert executor.submit(name_of, row.pk).result() == "author 0"
    executor.shutdown()
    until(lambda: backends() == 1)


def test_a_block_that_is_left_by_ctrl_c_closes_as_well():
    """What a callback has opened, say, after the call."""
    (row,) = articles(1, "postgres")
    with pytest.raises(KeyboardInterrupt), DjangoExecutor(1) as executor:
        done = threading.Event()
        future = executor.submit(done.wait, 10)
        future.add_done_callback(lambda _: name_of(row.pk))
        done.set()
        raise KeyboardInterrupt
    until(lambda: backends() == 1)


def test_arguments_reach_the_function():
    """Its own, by position and by name, whatever they are called."""
    with DjangoExecutor(1) as executor:
        assert executor.submit(dict, [("a", 1)], fn=2, self=3).result() == {
            "a": 1, "fn": 2, "self": 3,
        }  # fmt: skip
        assert [*executor.map(pow, [2, 3], [4, 2])] == [16, 9]


def test_options_are_those_of_the_dispatcher():
    """And its own: whether the database may be asked."""
    (row,) = articles(1, "postgres")
    with DjangoExecutor(1, worker_db="forbid", retry=Retry(attempts=1)) as executor:
        error = executor.submit(name_of, row.pk).exception()
    assert type(error) is WorkerQueryError
    with pytest.raises(OptionError, match="choose 'allow' or 'forbid'"):
        DjangoExecutor(1, worker_db="perhaps")


@pytest.mark.parametrize("way", ["setting", "block"])
def test_inline_all_runs_in_the_thread_that_submits(way):
    """By the setting, or within the block; what was begun there is, however late it is read."""
    with override_settings(THREADLLM_INLINE=True) if way == "setting" else inline():
        executor = DjangoExecutor(4)
        values = executor.map(lambda _: threading.get_ident(), range(20))
        outcomes = executor.outcomes(lambda _: threading.get_ident(), range(20))
        seen = {executor.submit(threading.get_ident).result()}
    seen |= {*values} | {one.value for one in outcomes}
    executor.shutdown()
    assert seen == {threading.get_ident()}


def test_a_journal_knows_the_function_by_its_own_name(tmp_path):
    """So that it may be read by a plain dispatcher."""
    from threadllm import Dispatcher

    with DjangoExecutor(1) as executor:
        assert [*executor.map(str.upper, ["a"], journal=tmp_path / "run.db")] == ["A"]
    with Dispatcher(1) as pool:
        (one,) = pool.outcomes(str.upper, ["a"], journal=tmp_path / "run.db")
    assert one.from_journal
