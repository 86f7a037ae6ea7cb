"""What the exit status says: a row for each."""

import pytest

SCRIPT = """
import os, signal

def fine(x):
    return x

def picky(x):
    if x == "b":
        raise ValueError("not b")
    return x

def interrupted(x):
    os.kill(os.getpid(), signal.SIGINT)

def terminated(x):
    os.kill(os.getpid(), signal.SIGTERM)
"""


@pytest.mark.parametrize(
    ("function", "source", "options", "status"),
    [
        ("fine", "prompts.txt", (), 0),
        ("fine", "empty.txt", (), 0),
        ("fine", "torn.jsonl", (), 1),
        ("picky", "prompts.txt", (), 1),
        ("fine", "prompts.txt", ("-o", "/dev/full"), 1),
        ("missing", "prompts.txt", (), 2),
        ("fine", "missing.txt", (), 2),
        ("fine", "prompts.txt", ("-c", "0"), 2),
        ("fine", "prompts.txt", ("-o", "prompts.txt"), 2),
        ("interrupted", "one.txt", (), 130),
        ("terminated", "one.txt", (), 143),
    ],
)
def test_the_status_says_how_it_went(cli, prompts, write, function, source, options, status):
    """0 all ok, 1 some failed or the run stopped, 2 usage, 128 and its number after a signal."""
    script = write("f.py", SCRIPT)
    write("empty.txt", "")
    write("one.txt", "a\n")
    write("torn.jsonl", '{"prompt": "a"}\n{"prompt": ')

    done = cli("call", f"{script}:{function}", source, "-o", "out.jsonl", "-c", "1", *options)

    assert done.status == status
