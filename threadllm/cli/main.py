"""`threadllm`: the commands, their options and their exit status."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from typing import TYPE_CHECKING

from threadllm import __version__
from threadllm.cli import benching, calling, journaling, running, simulating
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from collections.abc import Sequence

_COMMANDS = (calling, running, benching, journaling, simulating)
_USAGE = 2
_INTERRUPTED = 128 + signal.SIGINT
_WORKERS = ("threadllm_", "threadllm-spare_")  # threads that a run has waited for, or left behind


def parser() -> argparse.ArgumentParser:
    """The parser of all commands; each adds its own."""
    whole = argparse.ArgumentParser(
        prog="threadllm",
        description="Run synchronous functions that call LLMs concurrently, as they are.",
        epilog="Exit status: 0 all ok, 1 some items failed or were refused, or the run was stopped "
        "by an error, 2 usage, 130 after SIGINT and 143 after SIGTERM; simulate, which is ended "
        "by them, 0.",
    )
    whole.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    commands = whole.add_subparsers(required=True, metavar="COMMAND")
    for command in _COMMANDS:
        command.add_to(commands)
    return whole


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line, `sys.argv` by default.

    Returns:
        The exit status. A whole program, with `sys.argv`, is left here where calls go on that were
        abandoned at their deadline: Python would wait for their threads.

    Raises:
        SystemExit: From the parser: options that it does not understand, or that ask for help.
    """
    options = parser().parse_args(argv)
    try:
        status: int = options.run(options)
    except OptionError as error:
        sys.stderr.write(f"threadllm: {error}\n")
        return _USAGE
    except KeyboardInterrupt:  # before a run has begun, or after its end
        return _INTERRUPTED
    if argv is None and any(thread.name.startswith(_WORKERS) for thread in threading.enumerate()):
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status
