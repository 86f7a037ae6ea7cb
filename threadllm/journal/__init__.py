"""The file that remembers finished items, so that a second run does not pay again.

`settings` is what users give, `opened` what a run writes to and asks; below stand `names` (what an
item is called in the file), `functions` (what a function is), `codec` (values as JSON), `store`
(the tables), `holding` (one process at a time) and `reading` (what is in a file, for people). They
know no thread of the dispatcher and no HTTP. SQLite is imported when a journal is first opened.
"""

from threadllm.journal.functions import bound_by, job_of
from threadllm.journal.names import NO_KEY, Name, digest
from threadllm.journal.settings import Journal, checked_journal

__all__ = [
    "NO_KEY",
    "Journal",
    "Name",
    "bound_by",
    "checked_journal",
    "digest",
    "job_of",
]
