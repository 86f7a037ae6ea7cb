"""Asks through openai 0.28.1, which is built on requests, with a Python that has it.

Takes the base URL and the prompts as arguments, and prints what became of each.
"""

import json
import sys

import openai

import threadllm


def ask(prompt):
    """The call as its users wrote it."""
    answer = openai.ChatCompletion.create(
        model="m", messages=[{"role": "user", "content": prompt}], request_timeout=5
    )
    return answer["choices"][0]["message"]["content"]


def ask_streaming(prompt):
    """Likewise, a token at a time."""
    chunks = openai.ChatCompletion.create(
        model="m", messages=[{"role": "user", "content": prompt}], stream=True
    )
    return "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)


def main(way, base_url, *prompts):
    openai.api_base, openai.api_key = base_url, "sk-planted-legacy"
    fn = {"whole": ask, "streaming": ask_streaming}[way]
    with threadllm.Dispatcher(3, retry=threadllm.Retry(wait_initial=0.01)) as pool:
        outcomes = pool.outcomes(fn, prompts, ordered=True)
        json.dump(
            [
                {
                    "value": outcome.value,
                    "error": outcome.error and type(outcome.error).__name__,
                    "attempts": outcome.attempts,
                    "statuses": [record.status for record in outcome.requests],
                }
                for outcome in outcomes
            ],
            sys.stdout,
        )


main(*sys.argv[1:])
