"""Ways of asking many questions of a provider that limits them, each as its users would.

All but litellm, which posts by itself, run the same function. Retries are as each way's own
documentation has them, with as many tries for all that have any. The peers are in the extra
`peers`; each is imported where it is used, by which time its process may live in fast time.
"""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeAlias

import requests
from fast_time import FastTime

import threadllm

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from pacing_scenarios import Question

    AskAll: TypeAlias = Callable[[Sequence[Question]], Sequence[object]]

TRIES = 8
TIMEOUT = 60  # seconds
KEY = "sk-benchmark-0123456789"
MODEL = "gpt-4o-mini"


@dataclass(frozen=True, slots=True)
class Plan:
    """What a way is told.

    Attributes:
        at_a_time: Threads for each run.
        runs: How many runs there are beside each other, each of another origin's questions.
        quota: What is known of the limits, as arguments of `threadllm.Quota`.
        speed: How many times as fast as real time the simulator's time passes.
    """

    at_a_time: int
    runs: int
    speed: float
    quota: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Contender:
    """One way.

    Attributes:
        name: What the command line calls it: the distribution that it needs.
        about: What the tables call it.
        opened: Prepares it; what it yields is called once for each run, in a thread of each,
            and gives what came of each question, in their order.
        hurried: Whether its process lives in fast time, as it cannot be given a clock.
        pace: Its speed, at most, as a share of the usual one. What a way computes takes as long
            however fast time passes: one that needs much of a core in real time needs more than
            there is in fast time, and would look slower, and less of a storm, than it is.
    """

    name: str
    about: str
    opened: Callable[[Plan], AbstractContextManager[AskAll]]
    hurried: bool = True
    pace: float = 1.0


def ask(question: Question) -> str:
    """The function that people have."""
    payload: dict[str, Any] = {
        "model": MODEL,
        "messages": [{"role": "user", "content": question.prompt}],
    }
    if question.most is not None:
        payload["max_tokens"] = question.most
    response = requests.post(
        f"{question.url}/v1/chat/completions",
        json=payload,
        headers={"Authorization": f"Bearer {KEY}"},
        timeout=TIMEOUT,
    )
    response.raise_for_status()
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


@contextmanager
def by_threadllm(plan: Plan) -> Iterator[AskAll]:
    """One dispatcher for all runs; where there are some, each keeps to its share of the threads."""
    quota = threadllm.Quota(**plan.quota) if plan.quota else None
    share = None if plan.runs == 1 else plan.at_a_time
    threads = plan.at_a_time * plan.runs
    with threadllm.Dispatcher(threads, quota=quota, clock=FastTime(plan.speed)) as pool:

        def ask_all(questions: Sequence[Question]) -> list[object]:
            outcomes = pool.outcomes(ask, questions, buffersize=share)
            texts = {outcome.index: outcome.value for outcome in outcomes}
            return [texts[index] for index in range(len(questions))]

        yield ask_all


def told_to_wait(error: BaseException | None) -> float:
    """Seconds that a refusal says to wait; 0 if it says nothing."""
    response = error.response if isinstance(error, requests.HTTPError) else None
    return float(response.headers.get("retry-after", 0)) if response is not None else 0.0


def in_executor(plan: Plan, function: Callable[[Question], str]) -> AskAll:
    """A function in a bare ThreadPoolExecutor; what fails gives its error."""

    def ask_all(questions: Sequence[Question]) -> list[object]:
        with ThreadPoolExecutor(plan.at_a_time) as pool:
            futures = [pool.submit(function, question) for question in questions]
            return [future.exception() or future.result() for future in futures]

    return ask_all


@contextmanager
def by_executor(plan: Plan) -> Iterator[AskAll]:
    """No retries, as the tutorials' ten lines have it."""
    yield in_executor(plan, ask)


@contextmanager
def by_backoff(plan: Plan) -> Iterator[AskAll]:
    """The decorator that tutorials put on the function."""
    backoff = import_module("backoff")
    decorate = backoff.on_exception(
        backoff.expo, requests.RequestException, max_tries=TRIES, max_value=60
    )
    yield in_executor(plan, decorate(ask))


@contextmanager
def by_tenacity(plan: Plan) -> Iterator[AskAll]:
    """A ThreadPoolExecutor; random exponential waits, but none shorter than Retry-After."""
    tenacity = import_module("tenacity")
    exponential = tenacity.wait_random_exponential(multiplier=1, max=60)

    def wait(state: Any) -> float:
        waited: float = exponential(state)
        return max(waited, told_to_wait(state.outcome.exception()))

    ask_again = tenacity.retry(
        wait=wait,
        stop=tenacity.stop_after_attempt(TRIES),
        retry=tenacity.retry_if_exception_type(requests.RequestException),
        reraise=True,
    )(ask)

    yield in_executor(plan, ask_again)


@contextmanager
def by_more_executors(plan: Plan) -> Iterator[AskAll]:
    """Exponential waits of its own, which hold no thread."""
    executors = import_module("more_executors").Executors

    def ask_all(questions: Sequence[Question]) -> list[object]:
        with executors.thread_pool(max_workers=plan.at_a_time).with_retry(
            max_attempts=TRIES
        ) as pool:
            futures = [pool.submit(ask, question) for question in questions]
            return [future.exception() or future.result() for future in futures]

    yield ask_all


@contextmanager
def by_langchain(plan: Plan) -> Iterator[AskAll]:
    """A function as a Runnable; what failed of a batch is tried again as a batch."""
    runnable = import_module("langchain_core.runnables").RunnableLambda(ask)
    retried = runnable.with_retry(stop_after_attempt=TRIES, wait_exponential_jitter=True)
    config = {"max_concurrency": plan.at_a_time}

    def ask_all(questions: Sequence[Question]) -> list[object]:
        texts: list[object] = retried.batch(list(questions), config=config, return_exceptions=True)
        return texts

    yield ask_all


@contextmanager
def by_dspy(plan: Plan) -> Iterator[AskAll]:
    """Its executor tries nothing again: only its own model client does, which is not used here."""
    executor = import_module("dspy.utils.parallelizer").ParallelExecutor

    def ask_all(questions: Sequence[Question]) -> list[object]:
        texts: list[object] = executor(
            num_threads=plan.at_a_time, max_errors=10**9, timeout=0, disable_progress_bar=True
        ).execute(ask, list(questions))
        return texts

    yield ask_all


@contextmanager
def by_litellm(plan: Plan) -> Iterator[AskAll]:
    """It takes no function, and one `max_tokens` for all: answers are cut here instead."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # else it is downloaded
    litellm: Any = import_module("litellm")
    litellm.suppress_debug_info = True

    def ask_all(questions: Sequence[Question]) -> list[object]:
        answers: list[Any] = litellm.batch_completion(
            model=f"openai/{MODEL}",
            messages=[[{"role": "user", "content": question.prompt}] for question in questions],
            api_base=f"{questions[0].url}/v1",
            api_key=KEY,
            max_workers=plan.at_a_time,
            num_retries=TRIES - 1,
        )
        return [
            answer
            if isinstance(answer, Exception)
            else question.cut(answer.choices[0].message.content)
            for question, answer in zip(questions, answers, strict=True)
        ]

    yield ask_all


CONTENDERS = (
    Contender("threadllm", "threadllm", by_threadllm, hurried=False),
    Contender("requests", "requests.post, ThreadPoolExecutor", by_executor, pace=0.5),
    Contender("backoff", "backoff, ThreadPoolExecutor", by_backoff, pace=0.5),
    Contender("tenacity", "tenacity, ThreadPoolExecutor", by_tenacity, pace=0.5),
    Contender("more-executors", "more-executors", by_more_executors, pace=0.25),
    Contender("langchain-core", "langchain batch", by_langchain, pace=0.5),
    Contender("dspy", "dspy ParallelExecutor", by_dspy, pace=0.1),
    Contender("litellm", "litellm batch_completion", by_litellm, pace=0.1),
)
