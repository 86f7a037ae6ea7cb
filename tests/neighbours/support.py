"""What the neighbours' tests share: the ways to post, and calls that all post at the same time."""

import threading

import requests

import threadllm

AT_ONCE = threadllm.Retry(wait_initial=0, retry_after_max=0)


# Each is given a session that outlasts the calls.


def by_function(_, url, **options):
    return requests.post(url, timeout=5, **options)


def by_shared_session(session, url, **options):
    return session.post(url, timeout=5, **options)


def by_own_session(_, url, **options):
    with requests.Session() as session:
        return session.request("POST", url, timeout=5, **options)


def by_prepared_request(session, url, stream=False, **options):
    prepared = session.prepare_request(requests.Request("POST", url, **options))
    return session.send(prepared, timeout=5, stream=stream)


def by_threads_session(_, url, **options):
    return threadllm.session().post(url, timeout=5, **options)


WAYS = [
    by_function,
    by_shared_session,
    by_own_session,
    by_prepared_request,
    by_threads_session,
]


def asking(post, url):
    """A function that posts its item and gives the answer's text, or raises."""

    def ask(item):
        answer = post(f"{url}/{item}", json={"item": item})
        answer.raise_for_status()
        return answer.text

    return ask


def together(fn, count):
    """The function, begun by so many threads at the same time; a repeated call waits for none."""
    barrier, begun = threading.Barrier(count), set()

    def work(item):
        if item not in begun:
            begun.add(item)
            barrier.wait(30)
        return fn(item)

    return work


def outcomes(pool, fn, items):
    """What becomes of items, in their order."""
    return list(pool.outcomes(fn, items, ordered=True))


def values(pool, fn, items):
    """The values of items, all of which succeed."""
    found = outcomes(pool, fn, items)
    assert [outcome.error for outcome in found] == [None] * len(found)
    return [outcome.value for outcome in found]
