"""How fast an endpoint answers, by how many requests are in flight: for scripts, and for a shell.

    from threadllm import bench

    chat = bench.Chat("http://localhost:11434/v1", "llama3.2")
    report = bench.sweep(chat, ["What is a thread?", "What is a slot?"], concurrency=(1, 8, 32))
    print(report.table())
    report.write("bench.json")
    report.draw("bench.png")  # needs matplotlib, of the extra `bench`

Any synchronous function may stand in the place of `chat`. Where what it returns has an attribute
`first_token`, as a `bench.Answer` has, the seconds to the first token are reported as well.

The room measures; it must not know where its figures are shown.
"""

from threadllm.bench.chat import Answer, BrokenStreamError, Chat
from threadllm.bench.level import Level, Percentiles
from threadllm.bench.report import Report
from threadllm.bench.sweep import DEFAULT_CONCURRENCY, levels, sweep

__all__ = [
    "DEFAULT_CONCURRENCY",
    "Answer",
    "BrokenStreamError",
    "Chat",
    "Level",
    "Percentiles",
    "Report",
    "levels",
    "sweep",
]
