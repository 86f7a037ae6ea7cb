"""Workers in this process, over links to which something may happen."""

from threadllm.engines.fleet import Fleet
from threadllm.engines.worker import Worker


class LocalLink:
    """See `Link`."""

    def __init__(self, spec):
        self.worker = Worker(spec)

    def start(self):
        self.has_started = True

    def exchange(self, order):
        return self.worker.exchange(order)

    def nudge(self):
        self.worker.nudge()

    def close(self):
        self.worker.close()

    def kill(self):
        self.worker.abandon()


class Local:
    """See `Engine`."""

    def __init__(self, link=LocalLink, workers=1):
        self._link = link
        self._workers = workers

    def hire(self, post):
        return Fleet(post, self._workers, self._link, None)
