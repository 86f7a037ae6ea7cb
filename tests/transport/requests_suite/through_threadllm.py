"""A plugin under which requests' own tests go through the transport: see `.ci/requests-tests`."""

import functools

import pytest
import requests

import threadllm

WAYS = {
    "session": "requests.Session is threadllm.Session",
    "call": "each test is a call of a dispatcher",
    "both": "requests.Session is threadllm.Session, and each test is a call of a dispatcher",
}
AT_ONCE = threadllm.Retry(attempts=1, statuses=())


def pytest_addoption(parser):
    parser.addoption("--way", choices=WAYS, required=True, help=str(WAYS))


def pytest_configure(config):
    if config.option.way != "call":
        requests.Session = requests.sessions.Session = threadllm.Session
        requests.session = requests.sessions.session = threadllm.Session


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    if pyfuncitem.config.option.way != "session":
        pyfuncitem.obj = in_a_call(pyfuncitem.obj)
    return (yield)


def in_a_call(test):
    """The test, run in a call that tries nothing again and takes the test's word for all else."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with threadllm.Dispatcher(1, retry=AT_ONCE, trust_returns=True) as pool:
            return pool.submit(test, *args, **kwargs).result()

    return run
