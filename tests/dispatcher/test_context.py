"""The context of whoever submits goes along, and what a call makes of it stays its own."""

import decimal
import threading
from contextvars import ContextVar

import pytest
import structlog
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from tests.dispatcher.support import BusyError, python
from threadllm import Dispatcher, Retry

WHO = ContextVar("who", default="nobody")


@pytest.fixture(params=["submit", "map", "outcomes"])
def each(request):
    """Runs a function on items, submitted in one of three ways; gives the values in order."""

    def run(pool, fn, items):
        if request.param == "submit":
            return [future.result() for future in [pool.submit(fn, item) for item in items]]
        if request.param == "map":
            return list(pool.map(fn, items))
        return [outcome.unwrap() for outcome in pool.outcomes(fn, items, ordered=True)]

    return run


@pytest.fixture
def as_me():
    token = WHO.set("me")
    yield
    WHO.reset(token)


def note(item):
    """What a call sees, and then changes."""
    seen = WHO.get()
    WHO.set(f"call {item}")
    return seen


def test_a_call_sees_what_its_submitter_set(each, as_me):
    """And nothing that another item's call has set, on the same thread or not."""
    with Dispatcher(2) as pool:
        assert each(pool, note, range(20)) == ["me"] * 20

    assert WHO.get() == "me"


def test_each_further_call_of_an_item_begins_as_the_first(as_me):
    """An attempt that failed leaves nothing to the next."""
    seen = []

    def call(item):
        seen.append(note(item))
        if len(seen) < 3:
            raise BusyError

    with Dispatcher(1, retry=Retry(wait_initial=0)) as pool:
        pool.submit(call, 0).result()

    assert seen == ["me"] * 3


def test_what_the_submitter_sets_afterwards_is_not_seen(as_me):
    """The context is that of the moment of submission."""
    held = threading.Event()
    with Dispatcher(1) as pool:
        pool.submit(held.wait)
        future = pool.submit(note, 0)
        WHO.set("somebody else")
        held.set()

        assert future.result() == "me"


@pytest.mark.parametrize("way", ["map", "outcomes"])
def test_an_input_that_is_pulled_later_has_the_context_of_the_run(way):
    """That in which `map` or `outcomes` was called, whoever reads on, and wherever."""
    token = WHO.set("the one who began it")
    with Dispatcher(1) as pool:
        if way == "map":
            results = pool.map(note, range(10), buffersize=1)
        else:
            results = (o.value for o in pool.outcomes(note, range(10), buffersize=1))
        WHO.reset(token)
        first = next(results)
        WHO.set("the one who reads on")
        rest = [*results]

    assert {first, *rest} == {"the one who began it"}


def test_calls_within_calls_see_their_submitter(as_me):
    """A call that submits is the submitter of what it submits."""

    def outer(item):
        WHO.set(f"outer {item}")
        return inner.submit(note, 0).result()

    with Dispatcher(1) as inner, Dispatcher(2) as pool:
        assert list(pool.map(outer, range(3))) == [f"outer {n}" for n in range(3)]


def test_decimals_are_reckoned_as_the_submitter_does(each):
    """And a call that changes the precision changes only its own, though contexts share it."""

    def third(item):
        value = decimal.Decimal(1) / 3
        decimal.getcontext().prec = item + 2
        return str(value)

    with decimal.localcontext() as mine:
        mine.prec = 5
        with Dispatcher(2) as pool:
            assert each(pool, third, range(10)) == ["0.33333"] * 10
        assert decimal.getcontext().prec == 5


def test_decimals_need_not_be_there():
    """A program that does not use them does not load them."""
    printed = python(
        "import sys, threadllm\n"
        "sys.modules.pop('decimal', None)\n"
        "with threadllm.Dispatcher(1, patch_requests=False) as pool:\n"
        "    print(pool.submit(lambda: 'decimal' in sys.modules).result())\n"
    )

    assert printed == "False\n"


def test_structlogs_variables_go_along(each):
    """What is bound in a call is not bound anywhere else."""

    def call(item):
        structlog.contextvars.bind_contextvars(item=item)
        return structlog.contextvars.get_contextvars()

    with structlog.contextvars.bound_contextvars(run="r1"), Dispatcher(2) as pool:
        found = each(pool, call, range(5))
        assert structlog.contextvars.get_contextvars() == {"run": "r1"}

    assert found == [{"run": "r1", "item": n} for n in range(5)]


def test_the_active_span_goes_along(each):
    """What a call starts is a child of its submitter's span, and no other's."""
    tracer = TracerProvider().get_tracer("test")

    def call(item):
        outside = trace.get_current_span()
        with tracer.start_as_current_span(f"call {item}") as span:
            return outside.get_span_context(), span.parent

    with tracer.start_as_current_span("run") as span, Dispatcher(2) as pool:
        found = each(pool, call, range(5))
        here = span.get_span_context()

    assert found == [(here, here)] * 5
