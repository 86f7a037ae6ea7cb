"""What an item is called in a journal: the same in each run, and different from all others.

1, "1", 1.0 and true are four keys. A name that the user did not give goes with the content of its
item, as nothing would be worse than to hand over the answer to another prompt.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field

from threadllm.exceptions import OptionError
from threadllm.journal import codec

_LENGTH = 32  # hexadecimal digits of a digest
_ID = "id"

NO_KEY = object()
"""In place of a key where the user gave none."""


@dataclass(frozen=True, slots=True)
class Name:
    """What an item is called.

    Attributes:
        key: As its outcome shows it.
        text: The key as JSON.
        digest: Of the item's content, where that counts.
    """

    key: object = field(compare=False)
    text: str
    digest: str = ""


def name_of(item: object, key: object = NO_KEY) -> Name:
    """The name of an item.

    Args:
        item: The item.
        key: What the user calls it; a `Name` stays as it is.

    Raises:
        OptionError: It has none that would be its own in another run.
    """
    if isinstance(key, Name):
        return key
    if key is not NO_KEY:
        return Name(key, _text(key))
    content = digest(item)
    named = item.get(_ID) if isinstance(item, Mapping) else None
    if isinstance(named, str | int | float):
        return Name(named, _text(named), content)
    return Name(content, json.dumps(content))


def digest(item: object) -> str:
    """A short text that stands for the content of an item.

    Raises:
        OptionError: It has no content that would be the same in another run.
    """
    try:
        content = codec.canonical(item)
    except (TypeError, ValueError) as error:
        raise OptionError(f"an item has no name for the journal: {error}. Give key=") from error
    return hashlib.sha256(content.encode("ascii")).hexdigest()[:_LENGTH]


def _text(key: object) -> str:
    if not _can_name(key):
        raise OptionError(
            f"key: it gave {key!r}; let it give a text or a number, or a tuple of them"
        )
    return json.dumps(key)


def _can_name(key: object) -> bool:
    if isinstance(key, tuple | list):
        return all(map(_can_name, key))
    return isinstance(key, str | int) or (isinstance(key, float) and math.isfinite(key))
