"""What figures depend on: the machine, the interpreter, the libraries."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable

LIBRARIES = ("threadllm", "requests", "urllib3", "aiohttp")


def version_of(distribution: str) -> str | None:
    """What is installed; None if nothing is."""
    try:
        return version(distribution)
    except PackageNotFoundError:
        return None


def machine(libraries: Iterable[str] = LIBRARIES) -> dict[str, Any]:
    """All of it, with the libraries that are installed."""
    return {
        "cores": os.cpu_count(),
        "machine": platform.machine(),
        "system": f"{platform.system()} {platform.release()}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "versions": {name: found for name in libraries if (found := version_of(name))},
    }


def machine_line(told: dict[str, Any]) -> str:
    """The same, to be read."""
    versions = ", ".join(f"{name} {number}" for name, number in told["versions"].items())
    return f"{told['cores']} cores, {told['machine']}, {told['python']}, {versions}"
