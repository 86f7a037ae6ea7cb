import faulthandler
import importlib
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import settings

from threadllm.quota import forget

LONGEST = 300  # seconds that a test may take
PATIENCE = 10  # seconds after which what should have ended has not

# A law is no race: the machine may be busy.
settings.register_profile("unhurried", deadline=None)
settings.load_profile("unhurried")


def pytest_addoption(parser):
    parser.addoption("--sdks", action="store_true", help="run what needs the extra of that name")
    parser.addoption("--ray", action="store_true", help="run what needs the extra of that name")
    parser.addoption("--attacks", type=int, help="run what switches eagerly, that often, alone")


def pytest_generate_tests(metafunc):
    """Repeat what has its threads take turns as often as they can, if that is asked for."""
    attacks = metafunc.config.getoption("attacks")
    if attacks is not None and "eager_switching" in metafunc.fixturenames:
        metafunc.fixturenames.append("attack")
        metafunc.parametrize("attack", range(attacks))


def pytest_collection_modifyitems(config, items):
    """Leave out what is marked `sdks` or `ray` without the option, and `soak` unless asked for."""
    wanted = {name: config.getoption(name) for name in ("sdks", "ray")}
    wanted["soak"] = "soak" in config.getoption("markexpr")
    marks = [mark for mark, is_wanted in wanted.items() if not is_wanted]
    is_attack = config.getoption("attacks") is not None

    def is_left_out(item):
        is_other = is_attack and "eager_switching" not in item.fixturenames
        return is_other or any(map(item.get_closest_marker, marks))

    left_out = {item for item in items if is_left_out(item)}
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)


@pytest.fixture(scope="session")
def real_stderr(pytestconfig):
    """The one that is not captured."""
    with pytestconfig.pluginmanager.getplugin("capturemanager").global_and_fixture_disabled():
        copy = os.dup(2)
    yield copy
    os.close(copy)


@pytest.fixture(autouse=True)
def no_end_of_waiting(request, real_stderr):
    """Ends a run that hangs, with every thread's stack: on a clock that stands still it may."""
    if request.node.get_closest_marker("soak"):
        yield
        return
    faulthandler.dump_traceback_later(LONGEST, exit=True, file=real_stderr)
    yield
    faulthandler.cancel_dump_traceback_later()


@pytest.fixture(autouse=True)
def nothing_learnt():
    """Lets no test go by what another has learnt of a port that it happens to have as well."""
    forget()


@pytest.fixture(autouse=True)
def nobody_stays():
    """Has each test's calls end with it: requests is patched for as long as one goes on."""
    yield
    for thread in threading.enumerate():
        if thread.name.startswith("threadllm_"):  # of a dispatcher's pool
            thread.join(PATIENCE)
            assert not thread.is_alive()


@pytest.fixture(scope="module")
def beside():
    """Imports a script of benchmarks/ as the scripts beside it do."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "benchmarks")
        yield importlib.import_module


@pytest.fixture
def spawn():
    """Starts Python processes, with signals as a shell sets them; none outlives the test."""
    started = []

    def start(*words, **options):
        command = [sys.executable, *map(str, words)]
        options = {"stderr": subprocess.PIPE, "text": True, **options}
        started.append(subprocess.Popen(command, **options))
        return started[-1]

    handler = signal.signal(signal.SIGINT, signal.default_int_handler)  # not ignored: inherited
    yield start
    signal.signal(signal.SIGINT, handler)
    for process in started:
        with process:  # closes its pipes, and waits
            process.kill()


@pytest.fixture
def held():
    """An event that calls wait for; it is set at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def eager_switching():
    """Lets threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)
