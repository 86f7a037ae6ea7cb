"""What else runs a synchronous function over many inputs, each as its documentation shows it.

They are in the extra `peers`, and imported where they take part: some take seconds for that.
"""

from __future__ import annotations

import itertools
import logging
import os
from importlib import import_module
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, urlsplit

from contenders import HEADERS, PAYLOAD, TIMEOUT, Contender, ask, text_of
from machine import version_of

if TYPE_CHECKING:
    from collections.abc import Iterable


def by_thread_map(url: str, count: int, at_a_time: int) -> list[str]:
    """A ThreadPoolExecutor behind a bar."""
    thread_map = import_module("tqdm.contrib.concurrent").thread_map
    texts: list[str] = thread_map(ask, [url] * count, max_workers=at_a_time, disable=True)
    return texts


def by_joblib(url: str, count: int, at_a_time: int) -> list[str]:
    """Its backend of threads."""
    joblib = import_module("joblib")
    parallel = joblib.Parallel(n_jobs=at_a_time, backend="threading")
    texts: list[str] = parallel(joblib.delayed(ask)(each) for each in [url] * count)
    return texts


def by_requests_futures(url: str, count: int, at_a_time: int) -> list[str]:
    """One session for all threads."""
    futures_session = import_module("requests_futures.sessions").FuturesSession
    with futures_session(max_workers=at_a_time) as session:
        futures = [
            session.post(url, json=PAYLOAD, headers=HEADERS, timeout=TIMEOUT) for _ in range(count)
        ]
        return [text_of(future.result().json()) for future in futures]


def by_more_executors(url: str, count: int, at_a_time: int) -> list[str]:
    """Its pool of threads with retries."""
    executors = import_module("more_executors").Executors
    with executors.thread_pool(max_workers=at_a_time).with_retry(max_attempts=5) as pool:
        return [*pool.map(ask, itertools.repeat(url, count))]


def by_langchain(url: str, count: int, at_a_time: int) -> list[str]:
    """A function as a Runnable."""
    runnable = import_module("langchain_core.runnables").RunnableLambda(ask)
    texts: list[str] = runnable.with_retry(stop_after_attempt=5).batch(
        [url] * count, config={"max_concurrency": at_a_time}
    )
    return texts


def by_dspy(url: str, count: int, at_a_time: int) -> list[str]:
    """Its executor."""
    executor = import_module("dspy.utils.parallelizer").ParallelExecutor
    texts: list[str] = executor(
        num_threads=at_a_time, max_errors=10**9, timeout=0, disable_progress_bar=True
    ).execute(ask, [url] * count)
    return texts


def by_litellm(url: str, count: int, at_a_time: int) -> list[str]:
    """It takes no function: it posts by itself."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it is downloaded
    litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True
    parts = urlsplit(url)
    answers: list[Any] = litellm.batch_completion(
        model=f"openai/{PAYLOAD['model']}",
        messages=[PAYLOAD["messages"]] * count,
        temperature=PAYLOAD["temperature"],
        api_base=parts._replace(query="").geturl(),
        extra_query=dict(parse_qsl(parts.query)),
        api_key=HEADERS["Authorization"].removeprefix("Bearer "),
        max_workers=at_a_time,
        timeout=TIMEOUT,
    )
    return [answer.choices[0].message.content for answer in answers]


PEERS = (
    Contender("tqdm thread_map", by_thread_map),
    Contender("joblib, threads", by_joblib, "joblib"),
    Contender("requests-futures", by_requests_futures, "requests-futures"),
    Contender("more-executors", by_more_executors, "more-executors"),
    Contender("langchain batch", by_langchain, "langchain-core"),
    Contender("dspy ParallelExecutor", by_dspy, "dspy"),
    Contender("litellm batch_completion", by_litellm, "litellm"),
)
# What only the extra `peers` makes possible, by the names that tables have.
OF_PEERS = {"tenacity, ThreadPoolExecutor", *(one.name for one in PEERS if one.needs)}


def installed(contenders: Iterable[Contender]) -> tuple[Contender, ...]:
    """Those that can take part here. What they log is switched off."""
    logging.getLogger("LiteLLM").setLevel(logging.ERROR)
    return tuple(one for one in contenders if one.needs is None or version_of(one.needs))
