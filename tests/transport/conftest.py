import pytest

from threadllm.simulator import Simulator

from .support import Server, script


@pytest.fixture
def sim():
    """A provider on a real socket, without limits and faults until a test scripts some."""
    with Simulator() as running:
        yield running


@pytest.fixture
def serve():
    """Starts servers that send what they are told: see `Server` and `script`."""
    running = []

    def start(*answers):
        answer = answers[0] if callable(answers[0]) else script(*answers)
        running.append(Server(answer).__enter__())
        return running[-1]

    yield start
    for server in running:
        server.__exit__()
