"""Options that cannot be meant are refused at the start, in words that say what would do."""

import math

import pytest

import threadllm
from threadllm import Dispatcher, OptionError, Quota
from threadllm.dispatcher.arguments import Options
from threadllm.dispatcher.options import checked_progress

NAN = math.nan
WASTE = (
    "max_workers=1000000: more than 10000 threads of one process gain nothing, as they share one "
    "interpreter lock, and cost some 50 kB of memory each"
)
SECONDS = ": give seconds, more than 0, or two such"
REFUSED = [
    ({"max_workers": 0}, "max_workers=0: give a whole number of threads, 1 or more"),
    ({"max_workers": -1}, "max_workers=-1: give a whole number of threads, 1 or more"),
    ({"max_workers": "8"}, "max_workers='8': give a whole number of threads, 1 or more"),
    ({"retry": 3}, "retry=3: give a policy, such as Retry(attempts=3)"),
    (
        {"max_workers": 1_000_000},
        WASTE,
    ),
    ({"request_timeout": None}, f"request_timeout=None{SECONDS}"),
    ({"request_timeout": (1, 2, 3)}, f"request_timeout=(1, 2, 3){SECONDS}"),
    ({"request_timeout": 0}, f"request_timeout=0{SECONDS}"),
    ({"request_timeout": -1.5}, f"request_timeout=-1.5{SECONDS}"),
    ({"request_timeout": NAN}, f"request_timeout=nan{SECONDS}"),
    ({"request_timeout": (10, math.inf)}, f"request_timeout=(10, inf){SECONDS}"),
    ({"request_timeout": (0, 10)}, f"request_timeout=(0, 10){SECONDS}"),
    ({"concurrency": 0}, "concurrency=0: give a number of requests in flight, 1 or more"),
    (
        {"progress": "yes"},
        "progress='yes': give True, or what makes a bar, such as tqdm.tqdm",
    ),
    (
        {"concurrency": 1, "quota": Quota(1)},
        "concurrency and quota: give one; a quota has its own concurrency",
    ),
    ({"quotas": 5}, "quotas=5: give quotas by URL, as in a dict"),
    ({"estimate": 5}, "estimate=5: give a function, called as yours is"),
    ({"quota": 3}, "quota=3: give it a Quota(); concurrency= takes a number"),
]


@pytest.mark.parametrize(("options", "text"), REFUSED)
def test_a_dispatcher_says_what_is_wrong(options, text):
    """The option, its value, and why not: a ValueError, as of the standard library."""
    with pytest.raises(ValueError) as refused:
        Dispatcher(**options)

    assert (type(refused.value), str(refused.value)) == (OptionError, text)


@pytest.mark.parametrize(("progress", "shown"), [(None, False), (False, False), (True, True)])
def test_progress_may_be_left_out(progress, shown):
    """Or made by the user's own."""
    assert checked_progress(progress) is shown
    assert checked_progress(print) is print


@pytest.mark.parametrize("run", ["map", "outcomes"])
@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"buffersize": 0}, "buffersize=0: at least one item must be pulled"),
        ({"unpack": "kw"}, "unpack='kw': choose 'args' or 'kwargs', or leave it out"),
    ],
)
def test_a_run_says_what_is_wrong(run, options, text):
    """At once, with nothing pulled."""
    items = iter("ab")
    with Dispatcher(1) as pool, pytest.raises(OptionError) as refused:
        getattr(pool, run)(str, items, **options)

    assert (str(refused.value), [*items]) == (text, ["a", "b"])


def test_an_initializer_must_be_callable():
    """The standard library's own refusal is handed on."""
    with pytest.raises(TypeError, match="initializer must be a callable"):
        Dispatcher(1, "", "text")


def test_a_decorated_function_is_refused_where_it_is_decorated():
    """Not when it is first run."""
    with pytest.raises(OptionError, match="max_workers=0"):
        threadllm.concurrent(max_workers=0)(str)


def test_what_is_not_said_has_a_default():
    """32 threads, as many slots, and timeouts that fit an LLM."""
    with Dispatcher() as pool:
        terms = pool._terms
        assert (pool._max_workers, pool.quota.concurrency) == (32, 32)
        assert (terms.timeout, terms.retry, terms.patched) == ((10, 600), threadllm.Retry(), True)


@pytest.mark.parametrize(("timeout", "kept"), [(5, (5, 5)), ((1, 2.5), (1, 2.5))])
def test_a_timeout_is_one_figure_or_two(timeout, kept):
    """To connect, and to wait for bytes."""
    with Dispatcher(1, request_timeout=timeout) as pool:
        assert pool._terms.timeout == kept


def test_options_are_those_of_the_dispatcher():
    """What makes a dispatcher on the way takes the very arguments that it takes."""
    own = {k: v for k, v in Dispatcher.__init__.__annotations__.items() if k != "return"}

    assert Options.__annotations__.keys() == own.keys()
    assert {k: v.__forward_arg__ for k, v in Options.__annotations__.items()} == own
