import threading

from threadllm.call import Kept


class Thing:
    def __init__(self):
        self.closed = 0

    def close(self):
        self.closed += 1


def test_it_is_made_once_however_many_threads_ask_first(eager_switching):
    """All threads are given the same thing."""
    kept, made, given = Kept(), [], []

    def make():
        made.append(Thing())
        return made[-1]

    threads = [threading.Thread(target=lambda: given.append(kept.thing(make))) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(made) == 1
    assert given == made * 50


def test_it_is_closed_if_it_was_made():
    """Closing reaches the thing, and does nothing where none was made."""
    kept, thing = Kept(), Thing()
    kept.close()
    kept.thing(lambda: thing)

    kept.close()

    assert thing.closed == 1
