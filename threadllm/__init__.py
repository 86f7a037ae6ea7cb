"""threadllm: synchronous functions that call LLMs, run concurrently, as they are."""

__version__ = "0.1.0"
