"""The command line: what a shell gives is turned into calls of the rooms below, and back."""

from threadllm.cli.main import main

__all__ = ["main"]
