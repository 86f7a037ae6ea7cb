"""Rows of a Django project through an LLM, in threads: as a management command, or from code.

The ORM stays in the calling thread, and so do its connection and its transaction; what waits for
the LLM goes to the threads. This room alone knows Django; it knows no HTTP.
"""

from threadllm.contrib.django.command import ThreadedCommand
from threadllm.contrib.django.exceptions import RowDeletedError, WorkerQueryError
from threadllm.contrib.django.executor import DjangoExecutor
from threadllm.contrib.django.report import Failure, Report
from threadllm.contrib.django.running import run_queryset

__all__ = [
    "DjangoExecutor",
    "Failure",
    "Report",
    "RowDeletedError",
    "ThreadedCommand",
    "WorkerQueryError",
    "run_queryset",
]
