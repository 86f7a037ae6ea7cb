import structlog
from structlog.contextvars import bind_contextvars, bound_contextvars, merge_contextvars

from tests.transport.support import reply

from .support import asking, together, values


def test_a_calls_line_has_what_its_submitter_bound(beside, serve, post):
    """What a call binds for itself is in its own lines, and in nobody else's."""
    server = serve(reply(b"well"))
    ask, lines = asking(post, server.url), []

    def work(item):
        structlog.get_logger().info("asking")
        bind_contextvars(item=item)
        structlog.get_logger().info(ask(item))

    def keep(_, __, line):
        lines.append(line)
        raise structlog.DropEvent

    structlog.configure(processors=[merge_contextvars, keep])
    try:
        with beside(bound_contextvars(run="first"), post=post) as (pool, _):
            values(pool, together(work, 4), range(4))
            structlog.get_logger().info("ended")
    finally:
        structlog.reset_defaults()

    assert lines.pop() == {"event": "ended", "run": "first"}
    assert [line for line in lines if line["event"] == "asking"] == [
        {"event": "asking", "run": "first"}
    ] * 4
    asked = [line for line in lines if line["event"] == "well"]
    assert sorted(asked, key=lambda line: line["item"]) == [
        {"event": "well", "run": "first", "item": item} for item in range(4)
    ]
