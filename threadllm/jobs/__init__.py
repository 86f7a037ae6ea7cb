"""Files of items in, files of results out: JSON lines, text, CSV, OpenAI Batch lines.

The rooms here know neither HTTP nor threads nor the command line.
"""

from threadllm.jobs.job import Identity, Job, Refused
from threadllm.jobs.reading import Unpack, read

__all__ = ["Identity", "Job", "Refused", "Unpack", "read"]
