"""Answers as models give them: after lognormal times, token by token.

The simulator's time passes ten times as fast, and all seconds here are its own: an answer of six
seconds is over in 0.6, and what a way computes looks ten times as long.
"""

from __future__ import annotations

import asyncio
import json
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

import aiohttp
import httpx
import requests
from contenders import TIMEOUT
from pacing_turns import simulating
from results import Result
from transport import beginning_at

import threadllm
from threadllm.simulator import Latency, answer_to

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from scenarios import Scale

SPEED = 10.0
LATENCY = Latency(mean=2.0, spread=0.8, time_to_first_token=0.5, tokens_per_second=20)
AT_A_TIME = 64
PROMPTS = Path(__file__).with_name("prompts.jsonl")
EVENT = b"data: {"


class Streamed(NamedTuple):
    """An answer, and the real seconds from before the request to its first token."""

    text: str
    first: float


AskAll: TypeAlias = "Callable[[str, Sequence[str]], list[Streamed]]"


class Reading:
    """Puts an answer together from the lines of its stream."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._pieces: list[str] = []
        self._first = 0.0

    def line(self, line: bytes) -> None:
        """Take in one."""
        if not line.startswith(EVENT):
            return
        for choice in json.loads(line[len(EVENT) - 1 :])["choices"]:
            if piece := choice["delta"].get("content"):
                self._first = self._first or time.perf_counter() - self._began
                self._pieces.append(piece)

    def streamed(self) -> Streamed:
        """All of it."""
        return Streamed("".join(self._pieces), self._first)


def payload(prompt: str) -> Any:
    """What is sent."""
    messages = [{"role": "user", "content": prompt}]
    return {"model": "gpt-4o-mini", "messages": messages, "stream": True}


def ask(url: str, prompt: str) -> Streamed:
    """The function that people have."""
    reading = Reading()
    with requests.post(url, json=payload(prompt), timeout=TIMEOUT, stream=True) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            reading.line(line)
    return reading.streamed()


def in_executor(url: str, prompts: Sequence[str]) -> list[Streamed]:
    """The function in a bare ThreadPoolExecutor."""
    with ThreadPoolExecutor(AT_A_TIME) as pool:
        return list(pool.map(lambda prompt: ask(url, prompt), prompts))


def in_dispatcher(url: str, prompts: Sequence[str]) -> list[Streamed]:
    """The same function under threadllm."""
    return threadllm.map(lambda prompt: ask(url, prompt), prompts, max_workers=AT_A_TIME)


def by_httpx(url: str, prompts: Sequence[str]) -> list[Streamed]:
    """One client for all."""

    async def main() -> list[Streamed]:
        limits = httpx.Limits(max_connections=AT_A_TIME, max_keepalive_connections=AT_A_TIME)
        async with httpx.AsyncClient(timeout=TIMEOUT, limits=limits) as client:

            async def call(prompt: str) -> Streamed:
                reading = Reading()
                async with client.stream("POST", url, json=payload(prompt)) as response:
                    response.raise_for_status()
                    async for line in response.aiter_lines():
                        reading.line(line.encode())
                return reading.streamed()

            return await gather(call, prompts)

    return asyncio.run(main())


def by_aiohttp(url: str, prompts: Sequence[str]) -> list[Streamed]:
    """One session for all."""

    async def main() -> list[Streamed]:
        connector = aiohttp.TCPConnector(limit=AT_A_TIME)
        async with aiohttp.ClientSession(connector=connector) as session:

            async def call(prompt: str) -> Streamed:
                reading = Reading()
                async with session.post(url, json=payload(prompt)) as response:
                    response.raise_for_status()
                    async for line in response.content:
                        reading.line(line)
                return reading.streamed()

            return await gather(call, prompts)

    return asyncio.run(main())


async def gather(
    call: Callable[[str], Awaitable[Streamed]], prompts: Sequence[str]
) -> list[Streamed]:
    """All prompts, so many of them at a time."""
    slots = asyncio.Semaphore(AT_A_TIME)

    async def call_in_slot(prompt: str) -> Streamed:
        async with slots:
            return await call(prompt)

    return await asyncio.gather(*map(call_in_slot, prompts))


WAYS: dict[str, AskAll] = {
    "requests.post, ThreadPoolExecutor": in_executor,
    "threadllm, same function": in_dispatcher,
    "asyncio, httpx, one client": by_httpx,
    "aiohttp, one session": by_aiohttp,
}


@dataclass(frozen=True, slots=True)
class Streaming:
    """The scenario."""

    name: str = "streaming"

    def run(self, _url: str, scale: Scale, wanted: Callable[[str], bool]) -> Iterator[list[Result]]:
        """Let the contenders have their turns; the results so far, after each."""
        count = AT_A_TIME * (1 if scale.is_quick else scale.waves)
        whole = Result(
            "streaming",
            f"{count} streamed answers, {AT_A_TIME} at a time, lognormal times",
            "answers a second, in tenfold time",
            "",
            more_is_better=True,
        )
        first = Result(
            "first-token",
            f"First token of a streamed answer, {AT_A_TIME} at a time",
            "seconds, the median, in tenfold time",
            "",
            more_is_better=False,
        )
        names = [*filter(wanted, WAYS)]
        prompts = _prompts(count)
        for number in range(scale.rounds):
            for name in beginning_at(number, names):
                # A provider for each turn, as what it draws depends on what it has answered.
                with simulating(latency=LATENCY, speed=SPEED) as service:
                    took, streamed = _turn(WAYS[name], service.url, prompts)
                whole.add(name, "", count / took / SPEED)
                first.add(name, "", SPEED * statistics.median(one.first for one in streamed))
                yield [whole, first]

    def turns(self, scale: Scale, wanted: Callable[[str], bool]) -> int:
        """How many there will be."""
        return scale.rounds * sum(map(wanted, WAYS))


def _turn(ask_all: AskAll, url: str, prompts: Sequence[str]) -> tuple[float, list[Streamed]]:
    """Real seconds, and the answers, which are those that the simulator gives."""
    began = time.perf_counter()
    streamed = ask_all(f"{url}/v1/chat/completions", prompts)
    took = time.perf_counter() - began
    if [one.text for one in streamed] != [*map(answer_to, prompts)]:
        raise RuntimeError(f"{ask_all.__name__}: not the answers that the simulator gave")
    return took, streamed


def _prompts(count: int) -> list[str]:
    with PROMPTS.open(encoding="utf-8") as file:
        return [json.loads(line)["prompt"] for line in islice(file, count)]
