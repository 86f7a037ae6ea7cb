"""Ways of asking the same thing many times at once: the one to be judged, and those it is up to.

Each sends the same payload with the same headers, parses the JSON that comes back and gives its
text. A way is what a user would write, from opening what it needs to closing it.
"""

from __future__ import annotations

import asyncio
import gzip
import http.client
import itertools
import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aiohttp
import httpx
import requests
import urllib3

import threadllm

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    AskAll = Callable[[str, int, int], list[str]]

TIMEOUT = 60  # seconds
HEADERS = {"Authorization": "Bearer sk-benchmark-0123456789", "X-Client": "benchmark"}
PAYLOAD: Any = {
    "model": "gpt-4o-mini",
    "messages": [
        {"role": "system", "content": "You explain Python's standard library in a few sentences."},
        {
            "role": "user",
            "content": "Explain what this does: Return a new list containing all items from the "
            "iterable in ascending order. A custom key function can be supplied to customize the "
            "sort order, and the reverse flag can be set to request the result in descending "
            "order.",
        },
    ],
    "temperature": 0.2,
}


@dataclass(frozen=True, slots=True)
class Contender:
    """One way.

    Attributes:
        name: What the tables call it.
        ask_all: Takes a URL, how many requests, and how many at a time; gives the texts.
        needs: The distribution that must be installed for it, beside the extra `bench`.
        most: How many at a time it is asked for at most, as it would take minutes for more.
    """

    name: str
    ask_all: AskAll
    needs: str | None = None
    most: int | None = None


def text_of(answer: Any) -> str:
    """What the model said."""
    text: str = answer["choices"][0]["message"]["content"]
    return text


def ask(url: str) -> str:
    """The function that people have, which knows of no session and no thread."""
    response = requests.post(url, json=PAYLOAD, headers=HEADERS, timeout=TIMEOUT)
    response.raise_for_status()
    return text_of(response.json())


def in_executor(function: Callable[[str], str]) -> AskAll:
    """Run a function in a bare ThreadPoolExecutor."""

    def ask_all(url: str, count: int, at_a_time: int) -> list[str]:
        with ThreadPoolExecutor(at_a_time) as pool:
            return list(pool.map(function, itertools.repeat(url, count)))

    return ask_all


def in_dispatcher(function: Callable[[str], str]) -> AskAll:
    """Run a function in a dispatcher, with all that is on by default."""

    def ask_all(url: str, count: int, at_a_time: int) -> list[str]:
        with threadllm.Dispatcher(at_a_time) as pool:
            urls = itertools.repeat(url, count)
            return [outcome.unwrap() for outcome in pool.outcomes(function, urls)]

    return ask_all


def ask_all_in_sessions(url: str, count: int, at_a_time: int) -> list[str]:
    """What people make of it by hand: a session for each thread."""
    local = threading.local()

    def ask_in_session(url: str) -> str:
        if not hasattr(local, "session"):
            local.session = opened.enter_context(requests.Session())
        response = local.session.post(url, json=PAYLOAD, headers=HEADERS, timeout=TIMEOUT)
        response.raise_for_status()
        return text_of(response.json())

    with ExitStack() as opened:
        return in_executor(ask_in_session)(url, count, at_a_time)


def ask_all_by_http_client(url: str, count: int, at_a_time: int) -> list[str]:
    """The standard library's own client, a connection for each thread."""
    origin, _, path = url.removeprefix("http://").partition("/")
    headers = {**HEADERS, "Content-Type": "application/json"}
    local = threading.local()

    def ask_in_connection(_: str) -> str:
        if not hasattr(local, "connection"):
            connection = http.client.HTTPConnection(origin, timeout=TIMEOUT)
            local.connection = opened.enter_context(closing(connection))
        local.connection.request("POST", f"/{path}", json.dumps(PAYLOAD).encode(), headers)
        response = local.connection.getresponse()
        body = response.read()
        if response.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        return text_of(json.loads(body))

    with ExitStack() as opened:
        return in_executor(ask_in_connection)(url, count, at_a_time)


def ask_all_by_urllib3(url: str, count: int, at_a_time: int) -> list[str]:
    """One pool of connections, shared by the threads of a ThreadPoolExecutor."""

    def ask_in_pool(url: str) -> str:
        response = connections.request("POST", url, json=PAYLOAD, headers=HEADERS, timeout=TIMEOUT)
        return text_of(response.json())

    with urllib3.PoolManager(maxsize=at_a_time) as connections:
        return in_executor(ask_in_pool)(url, count, at_a_time)


def ask_all_by_aiohttp(url: str, count: int, at_a_time: int) -> list[str]:
    """One session, shared by as many tasks as there may be requests at a time."""
    urls = itertools.repeat(url, count)

    async def keep_asking(session: aiohttp.ClientSession) -> list[str]:
        texts = []
        for each in urls:
            async with session.post(each, json=PAYLOAD, headers=HEADERS) as response:
                response.raise_for_status()
                texts.append(text_of(await response.json()))
        return texts

    async def ask_all() -> list[list[str]]:
        connector = aiohttp.TCPConnector(limit=at_a_time)
        timeout = aiohttp.ClientTimeout(TIMEOUT)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            return await asyncio.gather(*(keep_asking(session) for _ in range(at_a_time)))

    return list(itertools.chain.from_iterable(asyncio.run(ask_all())))


def ask_all_in_turn(url: str, count: int, _at_a_time: int) -> list[str]:
    """One after another."""
    return [ask(url) for _ in range(count)]


def ask_all_in_raw_threads(url: str, count: int, at_a_time: int) -> list[str]:
    """A thread for each, as tutorials show it, and as many more once these have ended."""
    texts: list[str] = []
    for start in range(0, count, at_a_time):
        threads = [
            threading.Thread(target=lambda: texts.append(ask(url)))
            for _ in range(start, min(count, start + at_a_time))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    return texts


def ask_all_by_httpx(url: str, count: int, at_a_time: int) -> list[str]:
    """One client for all, as it should be."""

    async def ask_all() -> list[str]:
        limits = httpx.Limits(max_connections=at_a_time, max_keepalive_connections=at_a_time)
        async with httpx.AsyncClient(timeout=TIMEOUT, limits=limits) as client:
            return await gather(count, at_a_time, lambda: ask_by(client, url))

    return asyncio.run(ask_all())


def ask_all_by_httpx_clients(url: str, count: int, at_a_time: int) -> list[str]:
    """A client for each call, as tutorials write it."""

    async def ask_in_client() -> str:
        async with httpx.AsyncClient(timeout=TIMEOUT) as client:
            return await ask_by(client, url)

    return asyncio.run(gather(count, at_a_time, ask_in_client))


async def ask_by(client: httpx.AsyncClient, url: str) -> str:
    """One request."""
    response = await client.post(url, json=PAYLOAD, headers=HEADERS)
    response.raise_for_status()
    return text_of(response.json())


async def gather(count: int, at_a_time: int, call: Callable[[], Awaitable[str]]) -> list[str]:
    """So many calls, so many of them at a time."""
    slots = asyncio.Semaphore(at_a_time)

    async def call_in_slot() -> str:
        async with slots:
            return await call()

    return await asyncio.gather(*(call_in_slot() for _ in range(count)))


SEQUENTIAL = Contender("one after another", ask_all_in_turn)
RAW_THREADS = Contender("a thread for each prompt", ask_all_in_raw_threads)
HTTPX_CLIENTS = Contender("asyncio, httpx, a client each", ask_all_by_httpx_clients, most=64)
HTTPX = Contender("asyncio, httpx, one client", ask_all_by_httpx, most=64)
REQUESTS = Contender("requests.post, ThreadPoolExecutor", in_executor(ask))
SESSION = Contender("session per thread, ThreadPoolExecutor", ask_all_in_sessions)
THREADLLM = Contender("threadllm, same function", in_dispatcher(ask))
URLLIB3 = Contender("urllib3 pool", ask_all_by_urllib3)
HTTP_CLIENT = Contender("http.client per thread", ask_all_by_http_client)
AIOHTTP = Contender("aiohttp, one session", ask_all_by_aiohttp)
