import subprocess
import sys
import time

import pytest

from tests.dispatcher.support import PATIENCE
from tests.engines import jobs

ENGINES = ["processes", pytest.param("ray", marks=pytest.mark.ray)]


@pytest.fixture(scope="session")
def ray_here():
    """A cluster of this machine, which is up for as long as the tests run."""
    import ray

    ray.init(num_cpus=2, include_dashboard=False, _node_ip_address="127.0.0.1")
    yield ray
    ray.shutdown()


@pytest.fixture(params=ENGINES)
def engine(request):
    """The name of each engine in turn."""
    if request.param == "ray":
        request.getfixturevalue("ray_here")
    return request.param


def printed_by(code):
    """What a process prints; what it works with may have its own to say on stderr."""
    command = [sys.executable, "-c", code]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def places_of(pool, number):
    """The processes in which calls are made, once there are so many of them: some come late."""
    end, places = time.monotonic() + PATIENCE, set()
    while len(places) < number and time.monotonic() < end:
        places |= {*pool.map(jobs.after_and_where, [0.05] * 16)}
    return places


@pytest.fixture
def there(engine):
    """Options of a dispatcher whose calls are made by two workers of it."""
    return {"engine": engine, "workers": 2}
