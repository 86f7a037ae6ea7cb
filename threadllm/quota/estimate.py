"""What a request will cost, told before it is sent from what those before it have cost."""

from __future__ import annotations

from typing import TYPE_CHECKING

from threadllm.quota.permit import Need

if TYPE_CHECKING:
    from threadllm.outcome import Usage

_BYTES_A_TOKEN = 4.0  # of English text, by OpenAI's rule of thumb
_WEIGHT = 0.05  # of the newest request in the running means


class Estimate:
    """The running means of one line. The quota's lock guards it."""

    def __init__(self) -> None:
        self._bytes_a_token = _BYTES_A_TOKEN
        self._output: float | None = None  # tokens

    def need(self, size: int, most: float | None) -> Need:
        """The tokens that a request will take.

        Args:
            size: Bytes of its body.
            most: Tokens that it allows for the answer; None if it says nothing.
        """
        tokens_in = size / self._bytes_a_token
        output = self._output
        if output is None:  # nothing is known yet: all that it allows, or as much as it asks
            return Need(tokens_in, tokens_in if most is None else most)
        return Need(tokens_in, output if most is None else min(output, most))

    def learn(self, size: int, usage: Usage) -> None:
        """Take in what a request has cost."""
        if size and usage.input_tokens:
            newest = size / usage.input_tokens
            self._bytes_a_token += _WEIGHT * (newest - self._bytes_a_token)
        output = usage.output_tokens if self._output is None else self._output
        self._output = output + _WEIGHT * (usage.output_tokens - output)
