"""`threadllm simulate`, and `--simulate` of `threadllm call`: one set of settings for both."""

from __future__ import annotations

import os
import sys
from argparse import ArgumentTypeError
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from threadllm.cli.arguments import COUNT, NUMBER, PORT, POSITIVE, SEED, SHARE, Number
from threadllm.exceptions import OptionError

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Generator, Iterable, Mapping

    from threadllm.simulator import Limits, Simulator


class Setting(NamedTuple):
    """A setting of the simulator as the command line has it."""

    kind: Callable[[str], float]
    default: float | None
    meaning: str


_SWITCH = Number(int, lambda n: n in {0, 1}, "1 for yes, 0 for no")
_SETTINGS = {
    "latency": Setting(NUMBER, 0.3, "mean seconds that an answer takes (%(default)s)"),
    "spread": Setting(
        NUMBER, 0.5, "its standard deviation relative to the mean; 0: always the same (%(default)s)"
    ),
    "ttft": Setting(NUMBER, 0.0, "more seconds, to the first token (%(default)s)"),
    "tps": Setting(NUMBER, 0.0, "tokens a second from there; 0: all at once (%(default)s)"),
    "load": Setting(
        NUMBER, 0.0, "by how much each request in flight makes the next take longer (%(default)s)"
    ),
    "rpm": Setting(POSITIVE, None, "requests per minute per key, above which it answers 429"),
    "tpm": Setting(POSITIVE, None, "tokens per minute per key, likewise"),
    "rpd": Setting(POSITIVE, None, "requests per day per key, likewise"),
    "concurrency": Setting(COUNT, None, "requests in flight per key, likewise"),
    "burst": Setting(
        COUNT, None, "requests that may come at once after a quiet time (a minute's worth)"
    ),
    "refill": Setting(
        POSITIVE, None, "seconds from refill to refill of what may come (continuously)"
    ),
    "fixed": Setting(
        _SWITCH, 0, "1: all of it comes back at the end of each minute or day (%(default)s)"
    ),
    "silent": Setting(_SWITCH, 0, "1: no limit and no time to wait is told (%(default)s)"),
    "throttled": Setting(SHARE, 0.0, "share of requests that get a 429, 0 to 1 (%(default)s)"),
    "errors": Setting(SHARE, 0.0, "share of requests that get a 503, 0 to 1 (%(default)s)"),
    "seed": Setting(SEED, 0, "what chance is drawn from (%(default)s)"),
    "port": Setting(PORT, 0, "0 for any that is free (%(default)s)"),
    "speed": Setting(
        POSITIVE,
        1.0,
        "its time passes so many times as fast, for clients whose does as well (%(default)s)",
    ),
}
# What limits are called here, where an error names them.
_NAMES = {"requests_per_minute": "rpm", "requests_per_day": "rpd", "window='fixed'": "fixed"}
_RETRY_AFTER = 1  # second, that a 429 by chance asks to wait
_KEY = "sk-simulated"


def add_to(commands: Any) -> None:
    """Add the command."""
    command = commands.add_parser(
        "simulate",
        help="a provider to run against, on loopback",
        description="Run a simulated LLM provider on 127.0.0.1 until it is interrupted. It speaks "
        "OpenAI's, Anthropic's and Ollama's dialects.",
    )
    for name, setting in _SETTINGS.items():
        command.add_argument(
            f"--{name}",
            type=setting.kind,
            default=setting.default,
            metavar="N",
            help=setting.meaning,
        )
    command.set_defaults(run=simulate)


def simulate(options: Namespace) -> int:
    """Run the command; its exit status."""

    def ready(simulator: Simulator) -> None:
        variables = {"OPENAI_BASE_URL": simulator.base_url, "OPENAI_API_KEY": _KEY}
        sys.stdout.writelines(f"export {name}={value}\n" for name, value in variables.items())
        sys.stdout.flush()

    _simulator(vars(options)).run(ready)
    return 0


@contextmanager
def simulated(pairs: Iterable[str]) -> Generator[None, None, None]:
    """A simulator while the block lasts, to which the environment points.

    The keys in the environment are replaced as well: a real one has no business there.

    Args:
        pairs: Settings as "rpm=600".

    Raises:
        OptionError: A setting that there is not, or a value that it cannot have.
    """
    with _simulator(_parsed(pairs)) as simulator:
        changed = {
            "OPENAI_BASE_URL": simulator.base_url,
            "OPENAI_API_KEY": _KEY,
            "ANTHROPIC_BASE_URL": simulator.url,
            "ANTHROPIC_API_KEY": _KEY,
            "OLLAMA_HOST": simulator.url,
            "SEARCH_BASE_URL": simulator.url,
            **{name: _with_loopback(os.environ.get(name)) for name in ("no_proxy", "NO_PROXY")},
        }
        before = {name: os.environ.get(name) for name in changed}
        os.environ.update(changed)
        try:
            yield
        finally:
            for name, value in before.items():
                if value is None:
                    del os.environ[name]
                else:
                    os.environ[name] = value


def _with_loopback(hosts: str | None) -> str:
    """The hosts that no proxy is asked for, the simulator's among them."""
    return f"{hosts},127.0.0.1" if hosts else "127.0.0.1"


def _parsed(pairs: Iterable[str]) -> dict[str, float | None]:
    values = {name: setting.default for name, setting in _SETTINGS.items()}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals:
            raise OptionError(f"--simulate {pair}: write KEY=VALUE, and --simulate after INPUT")
        if name not in _SETTINGS:
            raise OptionError(f"--simulate {pair}: the keys are {', '.join(_SETTINGS)}")
        try:
            values[name] = _SETTINGS[name].kind(text)
        except ArgumentTypeError as error:
            raise OptionError(f"--simulate {name}={error}") from None
    return values


def _simulator(values: Mapping[str, Any]) -> Simulator:
    try:
        from threadllm.simulator import Fault, Latency, Simulator
    except ImportError as error:
        raise OptionError(
            f"the simulator needs {error.name or error}: pip install 'threadllm[sim]'"
        ) from None
    if values["throttled"] + values["errors"] > 1:
        raise OptionError("throttled and errors: they add up to more than 1. Lower them")
    faults = [
        Fault(
            status=429,
            rate=values["throttled"],
            retry_after=None if values["silent"] else _RETRY_AFTER,
        ),
        Fault(status=503, rate=values["errors"]),
    ]
    return Simulator(
        latency=Latency(
            mean=values["latency"],
            spread=values["spread"],
            time_to_first_token=values["ttft"],
            tokens_per_second=values["tps"],
            load=values["load"],
        ),
        limits=_limits(values),
        faults=[fault for fault in faults if fault.rate],
        seed=values["seed"],
        port=values["port"],
        speed=values["speed"],
    )


def _limits(values: Mapping[str, Any]) -> Limits:
    from threadllm.simulator import Limits

    try:
        return Limits(
            concurrency=values["concurrency"],
            requests_per_minute=values["rpm"],
            tokens_per_minute=values["tpm"],
            requests_per_day=values["rpd"],
            burst=values["burst"],
            refill=values["refill"],
            window="fixed" if values["fixed"] else "bucket",
            headers=not values["silent"],
            retry_after=not values["silent"],
        )
    except OptionError as error:
        text = str(error)
        for theirs, ours in _NAMES.items():
            text = text.replace(theirs, ours)
        raise OptionError(text) from None
