"""What the tests of lines share: what they have said."""

import logging

import pytest

from tests.quota.support import NAME


@pytest.fixture
def news(caplog):
    """What the line has said, without its name."""
    caplog.set_level(logging.INFO, logger="threadllm.quota")

    def said():
        told = [record.getMessage() for record in caplog.records]
        assert all(text.startswith(f"{NAME}: ") for text in told)
        assert {record.levelno for record in caplog.records} <= {logging.INFO}
        caplog.clear()
        return [text.removeprefix(f"{NAME}: ") for text in told]

    return said
