"""What tests of all rooms share."""

import time

PATIENCE = 60  # seconds after which what must come has not come


def until(condition):
    """Ask until it holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)
