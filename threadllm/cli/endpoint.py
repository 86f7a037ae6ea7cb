"""Where requests go, and with which key: what the commands that send them themselves share."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import urlsplit

from threadllm.exceptions import OptionError
from threadllm.redaction import redact

if TYPE_CHECKING:
    from argparse import ArgumentParser, Namespace

_OLLAMA = "http://localhost:11434/v1"
_DEFAULT_KEY = "OPENAI_API_KEY"


def add_options(command: ArgumentParser) -> None:
    """Add the options that say so."""
    add = command.add_argument
    add("--base-url", help=f"of the endpoint (OPENAI_BASE_URL, else {_OLLAMA})")
    add(
        "--api-key-env",
        metavar="NAME",
        help=f"the variable that holds the key ({_DEFAULT_KEY}, if it is set)",
    )


class Endpoint(NamedTuple):
    """An endpoint, which may go to another process: that looks up the key for itself.

    Attributes:
        base_url: Its address.
        variable: The one that was named for its key; None for the usual one, if it is set.
    """

    base_url: str
    variable: str | None

    def key(self) -> str | None:
        """The key, if there is one.

        Raises:
            OptionError: The variable holds none.
        """
        return _key(self.variable)


def endpoint_of(options: Namespace) -> Endpoint:
    """Where requests go.

    Raises:
        OptionError: An address that there cannot be, or a variable that holds no key.
    """
    endpoint = Endpoint(_base_url(options.base_url), options.api_key_env)
    endpoint.key()
    return endpoint


def _base_url(given: str | None) -> str:
    source = "OPENAI_BASE_URL" if given is None else "--base-url"
    base_url = (os.environ.get(source) or _OLLAMA) if given is None else given
    if not _is_address(base_url):
        raise OptionError(f"{source} {redact(base_url)!r}: write it like {_OLLAMA}")
    return base_url


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that there cannot be
        return False


def _key(variable: str | None) -> str | None:
    """The key, if there is one. It is never printed, nor what may be one in a variable's place."""
    name = variable or _DEFAULT_KEY
    key = os.environ.get(name)
    if not key:
        if variable is None:
            return None
        shown = variable if re.fullmatch("[A-Z][A-Z0-9_]*", variable) else "what it names"
        raise OptionError(
            f"--api-key-env: {shown} is not set, or is empty. Give the name of the variable that "
            f"holds the key, such as {_DEFAULT_KEY}, never the key itself"
        )
    if not (key.isascii() and key.isprintable() and " " not in key):
        raise OptionError(
            f"{name}: it holds a line break, a space or a character beyond ASCII, "
            "such as a typographic quote. Set it again, to the key alone"
        )
    return key
