"""Puts the figures of a run of `python -m benchmarks` into the README.

    python benchmarks/readme.py [FOLDER]

FOLDER is where that run has left its results (benchmark-results). What the README shows of them is
kept in benchmarks/figures, and each of its figures is one of results.json there.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from charts import draw
from contenders import (
    AIOHTTP,
    HTTPX,
    HTTPX_CLIENTS,
    RAW_THREADS,
    REQUESTS,
    SESSION,
    THREADLLM,
)
from machine import machine_line
from results import read, short

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from results import Result

ROOT = Path(__file__).parents[1]
FIGURES = ROOT / "benchmarks" / "figures"
CHARTS = ("throughput", "latency")
BEGIN = "<!-- figures: python -m benchmarks, then python benchmarks/readme.py -->\n"
END = "<!-- end of figures -->\n"

WAYS = (REQUESTS, SESSION, THREADLLM, HTTPX_CLIENTS, HTTPX, AIOHTTP)
WAY_COLUMNS = (  # heading, result, load
    ("requests/s, 64 at a time", "throughput", "64"),
    ("CPU ms a request", "throughput-cpu", "64"),
    ("200 ms: times the ideal, 256 at a time", "latency", "256"),
    ("1,000 at a time", "latency", "1000"),
    ("streamed answers/s, tenfold time", "streaming", ""),
    ("kB for each of 1,000", "memory-asking", ""),
)
PEER_COLUMNS = (  # heading, result, whose name for a way it goes by
    ("requests/s, 50 ms each", "peers", 0),
    ("storm: answered, %", "storm-answered", 1),
    ("429s an item", "storm-refused", 1),
    ("times the ideal", "storm-time", 1),
    ("calls begun after Ctrl-C", "ctrl-c-calls", 2),
    ("seconds to the end", "ctrl-c-seconds", 2),
)
PEERS = (  # a way, and what it is called in each of the three
    ("**threadllm**", THREADLLM.name, "threadllm", "threadllm"),
    (
        "`ThreadPoolExecutor`, `as_completed`",
        REQUESTS.name,
        REQUESTS.name,
        "ThreadPoolExecutor, as_completed",
    ),
    ("backoff's decorator in it", "", "backoff, ThreadPoolExecutor", ""),
    ("tenacity's in it", "", "tenacity, ThreadPoolExecutor", ""),
    *(
        (name, *[name] * 3)
        for name in (
            "tqdm thread_map",
            "joblib, threads",
            "requests-futures",
            "more-executors",
            "langchain batch",
            "dspy ParallelExecutor",
            "litellm batch_completion",
        )
    ),
)


def table(columns: Iterable[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [["", *columns], *rows]
    lines.insert(1, ["---"] * len(lines[0]))
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def median(results: dict[str, Result], name: str, contender: str, load: str = "") -> str:
    """Of the rounds; a dash where there was none."""
    result = results.get(name)
    spread = None if result is None else result.spread(contender, load)
    return "-" if spread is None else short(spread.median)


def section(about: dict[str, Any], found: list[Result]) -> str:
    """All that the README says of a run."""
    results = {result.name: result for result in found}
    ways = [
        [
            f"**{way.name}**" if way is THREADLLM else way.name,
            *(median(results, name, way.name, load) for _, name, load in WAY_COLUMNS),
        ]
        for way in WAYS
    ]
    peers = [
        [row[0], *(median(results, name, row[1 + which]) for _, name, which in PEER_COLUMNS)]
        for row in PEERS
    ]
    goals = [
        [one["what"], one["figure"], one["goal"], "yes" if one["reached"] else "**no**"]
        for one in about["verdicts"]
    ]
    thread = median(results, "memory", RAW_THREADS.name)
    again = f" Measured once more later: {'; '.join(about['again'])}." if about["again"] else ""
    head = (
        f"{machine_line(about['machine'])}. Medians of the rounds. The server alone gives "
        f"{short(about['server_limit'])} answers a second.{again}\n"
    )
    beside = (
        "With latency each of the 256 asks 30 times, so that making threads and connections "
        "counts for little, and each of the 1,000 asks 8 times. "
        f"A thread that only waits takes {thread} kB; a thousand that use `requests.post` never "
        "have as many in flight. Beside the peers: 64 at a time; in a storm, where 600 requests a "
        "minute are allowed, 256 threads ask, and nobody says so before; and "
        "when Ctrl-C comes in the midst of 60 calls, 8 at a time:\n"
    )
    parts = (
        head,
        "".join(f"![{name}](benchmarks/figures/{name}.png)\n" for name in CHARTS),
        table((heading for heading, *_ in WAY_COLUMNS), ways),
        beside,
        table((heading for heading, *_ in PEER_COLUMNS), peers),
        "What we had set ourselves, on such a machine:\n",
        table(("found", "goal", "reached"), goals),
        "What tutorials claim, and what was found:\n",
        "".join(f"- *{claim}*: {figures}.\n" for claim, figures in about["claims"]),
    )
    return "\n".join(parts)


def main() -> None:
    """Take over the figures of a run."""
    folder = Path(*sys.argv[1:2] or ["benchmark-results"])
    if not (folder / "results.json").is_file():
        raise SystemExit(f"{folder}: has no results.json. Run python -m benchmarks first")
    FIGURES.mkdir(exist_ok=True)
    shutil.copyfile(folder / "results.json", FIGURES / "results.json")
    about, found = read(FIGURES / "results.json")
    for result in found:
        if result.name in CHARTS:
            draw(result, FIGURES, ["png"])
    readme = ROOT / "README.md"
    before, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    told = f"{BEGIN}{section(about, found)}{END}"
    readme.write_text(f"{before}{told}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
