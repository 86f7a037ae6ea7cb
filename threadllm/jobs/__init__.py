"""Files of items in, files of results out: JSON lines, text, CSV, OpenAI Batch lines.

The rooms here know neither HTTP nor threads nor the command line.
"""

from threadllm.jobs.batch import BatchRequest, join, read_requests
from threadllm.jobs.continuing import Continued
from threadllm.jobs.counting import counted
from threadllm.jobs.job import Identity, Job, Refused
from threadllm.jobs.reading import Unpack, read
from threadllm.jobs.records import call_line, result_line
from threadllm.jobs.writing import Writer, dumps

__all__ = [
    "BatchRequest",
    "Continued",
    "Identity",
    "Job",
    "Refused",
    "Unpack",
    "Writer",
    "call_line",
    "counted",
    "dumps",
    "join",
    "read",
    "read_requests",
    "result_line",
]
