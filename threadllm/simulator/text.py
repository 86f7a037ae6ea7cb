"""Text: how it is named, counted, cut and answered. The same text always gives the same.

The room must not know of HTTP or of any provider.
"""

from __future__ import annotations

from hashlib import blake2b

TOKEN = 4  # characters; what the providers' own rule of thumb says of English
_QUOTED = 60  # characters of a prompt that its answer repeats


def encoded(text: str) -> bytes:
    """`text` as bytes; lone surrogates, which JSON can carry, included."""
    return text.encode("utf-8", "surrogatepass")


def digest(text: str) -> str:
    """The name of `text` in tables and answers: 16 hexadecimal digits."""
    return blake2b(encoded(text), digest_size=8).hexdigest()


def roll(*parts: object) -> float:
    """A number above 0 and below 1 that looks random and depends on `parts` alone."""
    hashed = blake2b(encoded("|".join(map(str, parts))), digest_size=8).digest()
    return ((int.from_bytes(hashed, "big") >> 12) + 0.5) / 2**52


def tokens(text: str) -> int:
    """How many tokens `text` is: one for every four characters begun."""
    return -(-len(text) // TOKEN)


def pieces(text: str) -> list[str]:
    """`text` as a stream hands it over: a token at a time."""
    return [text[start : start + TOKEN] for start in range(0, len(text), TOKEN)]


def answer_to(prompt: str) -> str:
    """What the simulator answers to `prompt`: its digest, and its first words.

    A test can so tell that an answer belongs to its prompt.
    """
    return f"Answer {digest(prompt)}: {' '.join(prompt[:_QUOTED].split())}"
