"""What is Ray's alone: clusters, their machines that go, and how they are joined."""

import signal
import sys
import threading

import pytest

import threadllm
from tests.engines.conftest import places_of, printed_by
from threadllm import Dispatcher, OptionError, Quota, WorkerLost
from threadllm.engines.travel import pack
from threadllm.engines.wire import Order
from threadllm.engines.worker import Spec

pytest.importorskip("ray")
from threadllm.engines import actors
from threadllm.engines.actors import Actor, ActorLink

SPEC = Spec(None, 2, pack({}), {"": Quota(2).settings})
pytestmark = pytest.mark.ray

CLUSTER = """
import threadllm
from ray.cluster_utils import Cluster
from tests.engines import jobs

cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0})
first, second = (cluster.add_node(num_cpus=1) for _ in range(2))
engine = threadllm.connect("ray", workers=2, address=cluster.address)
with threadllm.Dispatcher(8, engine=engine) as pool:
    items = [(MARKS, 0.05, str(n)) for n in range(300)]
    outcomes = pool.outcomes(jobs.marked_after, items, unpack="args")
    values = [next(outcomes).unwrap() for _ in range(50)]
    cluster.remove_node(second, allow_graceful=False)
    values += [outcome.unwrap() for outcome in outcomes]
assert sorted(values, key=int) == [str(n) for n in range(300)]
assert ray.is_initialized()  # for other dispatchers
ray.shutdown()
cluster.shutdown()
print("all are there")
"""


def test_a_machine_that_goes_loses_no_item(tmp_path):
    """What it had is run by the others: each item has its one value."""
    marks = tmp_path / "marks"
    assert "all are there" in printed_by(f"import ray; MARKS = {str(marks)!r}{CLUSTER}")
    # What is cut off goes on for a moment, perhaps with what has come meanwhile.
    assert len(marks.read_text().split()) - 300 <= 18


def test_a_cluster_that_was_joined_is_gone_on_with(ray_here):
    """It has as many workers as cores, if nothing else is said; it is left as it was."""
    here = ray_here.get_runtime_context().gcs_address
    for address in (None, "auto", here):
        engine = threadllm.connect("ray", address=address)
        with Dispatcher(8, engine=engine) as pool:
            assert len(places_of(pool, 2)) == 2
    assert ray_here.is_initialized()
    with pytest.raises(OptionError, match=f"this process has joined {here}; call ray.shutdown"):
        Dispatcher(engine=threadllm.connect("ray", address="192.0.2.1:6379"))


@pytest.mark.parametrize(("times", "joined"), [(1, [None]), (2, [])])
def test_ray_is_not_broken_off_as_it_starts(monkeypatch, times, joined):
    """It would crash; whoever says it twice means it."""
    came = []

    def init(address):
        for _ in range(times):
            signal.raise_signal(signal.SIGINT)
        came.append(address)

    monkeypatch.setattr(actors.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(actors.ray, "init", init)
    with pytest.raises(KeyboardInterrupt):
        actors._join(None)
    assert came == joined
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ray_may_be_joined_by_any_thread(monkeypatch):
    """Only the main one has to do with signals."""
    came = []
    monkeypatch.setattr(actors.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(actors.ray, "init", came.append)
    thread = threading.Thread(target=actors._join, args=("auto",))
    thread.start()
    thread.join()
    assert came == ["auto"]


def test_ray_is_joined_where_nobody_has():
    """A handler of SIGTERM that the program has stays; a cluster that is not there is told."""
    code = """
import os, ray, signal, threadllm
from tests.engines import jobs
from threadllm import OptionError
os.environ["RAY_ADDRESS"] = "local"
try:
    threadllm.Dispatcher(engine=threadllm.connect("ray", address="nonsense"))
except OptionError as error:
    print(error)
def handle(number, frame):
    print("handled", number)
signal.signal(signal.SIGTERM, handle)
print(threadllm.map(jobs.double, range(3), engine="ray", workers=1))
signal.raise_signal(signal.SIGTERM)
ray.shutdown()
signal.signal(signal.SIGTERM, signal.SIG_DFL)
print(threadllm.map(jobs.double, range(3), engine="ray"))
print(signal.getsignal(signal.SIGTERM) is signal.SIG_DFL)
"""
    lines = printed_by(code).splitlines()
    assert lines[0].startswith("address='nonsense': ")
    assert lines[1:] == ["[0, 2, 4]", f"handled {int(signal.SIGTERM)}", "[0, 2, 4]", "False"]


def test_an_actor_is_a_worker():
    """It looks for modules where the driver does, too."""
    actor = Actor()
    assert actor.start(SPEC, ["/nowhere/planted", *sys.path]) is None
    assert sys.path.pop() == "/nowhere/planted"
    actor.nudge()
    assert actor.exchange(Order([], {}, [], 60.0)).envelopes == []
    actor.close()
    assert Actor().start(SPEC._replace(init="nowhere:f"), []).startswith("OptionError: init=")


def test_a_link_to_the_dead_says_so(ray_here):
    """To whoever starts it or exchanges; nudging and closing it do no harm."""
    link = ActorLink(SPEC)
    link.start()
    link.kill()
    link.nudge()
    with pytest.raises(WorkerLost, match=r"a worker process has died: .* killed by `ray\.kill`"):
        link.exchange(Order([], {}, [], 0.0))
    with pytest.raises(WorkerLost, match="a worker process cannot be started: "):
        link.start()
    link.close()
