"""Functions as people have them: plain `requests`, blocking, one call at a time.

Nothing here knows that it may be run in threads. The endpoint is read from the environment when
a function is called: OPENAI_BASE_URL, OPENAI_API_KEY, OPENAI_MODEL; for search SEARCH_BASE_URL.
"""

from __future__ import annotations

import os
from typing import Any

import requests

TIMEOUT = 60  # seconds

session = requests.Session()


def chat_url() -> str:
    """Where chat completions are asked for."""
    base_url = os.environ.get("OPENAI_BASE_URL", "https://api.openai.com/v1")
    return base_url.rstrip("/") + "/chat/completions"


def headers() -> dict[str, str]:
    """The key, as the API wants it."""
    return {"Authorization": "Bearer " + os.environ.get("OPENAI_API_KEY", "")}


def payload(prompt: str, context: str | None = None) -> dict[str, Any]:
    """A chat of one question, after a system message if there is something to say first."""
    messages = [{"role": "user", "content": prompt}]
    if context is not None:
        messages.insert(0, {"role": "system", "content": context})
    return {"model": os.environ.get("OPENAI_MODEL", "gpt-4o-mini"), "messages": messages}


def text_of(response: requests.Response) -> str:
    """What the model said."""
    text: str = response.json()["choices"][0]["message"]["content"]
    return text


def call_llm(prompt: str) -> str:
    """Ask, and raise if it went wrong."""
    response = requests.post(chat_url(), json=payload(prompt), headers=headers(), timeout=TIMEOUT)
    response.raise_for_status()
    return text_of(response)


def call_llm_or_none(prompt: str) -> str | None:
    """Ask, and print what went wrong, as the tutorials do."""
    try:
        response = requests.post(
            chat_url(), json=payload(prompt), headers=headers(), timeout=TIMEOUT
        )
        response.raise_for_status()
    except requests.exceptions.RequestException as e:
        print(f"Error calling the API: {e}")
        return None
    return text_of(response)


def call_llm_in_own_session(prompt: str) -> str:
    """Ask in a session opened for this one call."""
    with requests.Session() as own_session:
        own_session.headers.update(headers())
        response = own_session.post(chat_url(), json=payload(prompt), timeout=TIMEOUT)
        response.raise_for_status()
        return text_of(response)


def call_llm_in_shared_session(prompt: str) -> str:
    """Ask in the session that the whole module shares."""
    response = session.post(chat_url(), json=payload(prompt), headers=headers(), timeout=TIMEOUT)
    response.raise_for_status()
    return text_of(response)


def search(query: str) -> list[dict[str, str]]:
    """Results with a title and a snippet each."""
    base_url = os.environ.get("SEARCH_BASE_URL", "http://localhost:8080").rstrip("/")
    response = requests.get(f"{base_url}/search", params={"q": query}, timeout=TIMEOUT)
    response.raise_for_status()
    results: list[dict[str, str]] = response.json()["results"]
    return results


def answer_with_search(question: str) -> str:
    """Search first, then have the model answer from what was found."""
    found = "\n\n".join(f"{result['title']}\n{result['snippet']}" for result in search(question))
    context = f"Answer from these search results.\n\n{found}"
    response = requests.post(
        chat_url(), json=payload(question, context), headers=headers(), timeout=TIMEOUT
    )
    response.raise_for_status()
    return text_of(response)
