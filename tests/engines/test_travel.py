"""What goes from process to process, and how what cannot is refused."""

import os
import pickle
import subprocess
import sys
import threading

import pytest

import threadllm
from tests.contrib.support import PROJECT
from tests.dispatcher.support import python
from tests.engines import jobs
from tests.engines.local import Local, LocalLink
from threadllm import Dispatcher, EarlierFailure, OptionError, RemoteError
from threadllm.engines import travel
from threadllm.engines.failures import error_of, failure_of
from threadllm.simulator import Simulator

ENGINE = {"engine": "processes", "workers": 1, "max_workers": 2}
LOCK = threading.Lock()


def test_lambdas_and_closures_go_along():
    """By what they are, and not by a name."""
    factor = 3
    assert threadllm.map(lambda n: factor * n, range(5), **ENGINE) == [0, 3, 6, 9, 12]


def test_a_script_is_not_run_a_second_time(tmp_path):
    """Its functions work, without `if __name__ == "__main__"`, and so do modules beside it."""
    (tmp_path / "beside.py").write_text("def triple(n):\n    return 3 * n\n")
    script = tmp_path / "script.py"
    script.write_text(
        "import beside, threadllm\n"
        "class Kind:\n"
        "    def __init__(self, n):\n"
        "        self.n = n\n"
        "def call(kind):\n"
        "    return beside.triple(kind.n)\n"
        "print('run')\n"
        "print(threadllm.map(call, [Kind(1), Kind(2)], engine='processes', workers=1))\n"
    )
    ended = subprocess.run(
        [sys.executable, script], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "run\n[3, 6]\n", "")


def test_what_cannot_go_is_refused_before_the_run():
    """The error names the variable."""

    def call(n):
        with lock:
            return factor * n

    factor, lock = 3, threading.Lock()
    with Dispatcher(**ENGINE) as pool:
        with pytest.raises(OptionError, match=r"call cannot be sent .*: its variable lock is a "):
            next(pool.outcomes(call, range(3)))
        with pytest.raises(OptionError, match="cannot be sent to another process"):
            pool.submit(LOCK.acquire)
        with pytest.raises(OptionError, match="an option cannot be sent"):
            threadllm.map(jobs.double, [1], estimate=lambda _: LOCK.locked(), **ENGINE)
        with pytest.raises(OptionError, match="clock: "):
            threadllm.map(jobs.double, [1], clock=threadllm.testing.FakeClock(), **ENGINE)


def test_an_item_that_cannot_go_fails_alone():
    """So does one that is no use there, and a value that cannot come back."""
    with Dispatcher(**ENGINE) as pool:
        outcomes = {one.index: one for one in pool.outcomes(jobs.double, [1, LOCK, 3])}
        [locked] = pool.outcomes(jobs.give_lock, [1])
    assert [outcomes[0].value, outcomes[2].value] == [2, 6]
    assert isinstance(outcomes[1].error, TypeError)
    assert "the item cannot be sent" in str(outcomes[1].error)
    assert "what the function returned cannot be sent" in str(locked.error)


def test_without_cloudpickle_functions_go_by_name_alone(monkeypatch):
    """The error says what to install."""
    monkeypatch.setattr(travel, "cloudpickle", None)
    assert threadllm.map(jobs.double, [1], **ENGINE) == [2]
    with pytest.raises(OptionError, match="extra 'scale'"):
        threadllm.map(lambda n: n, [1], **ENGINE)


def test_cloudpickle_may_be_missing():
    """It is an extra's."""
    code = (
        "import sys; sys.modules['cloudpickle'] = None\n"
        "from threadllm.engines import travel; print(travel.cloudpickle)"
    )
    assert python(code) == "None\n"


def test_a_value_that_does_not_load_here_fails_its_item():
    """Though it was bought: nobody can say what it is."""
    with Dispatcher(**ENGINE) as pool:
        error = pool.submit(jobs.give_what_loads_only_there, 1).exception()
    assert "not in this process" in str(error)


@pytest.mark.parametrize(
    ("make", "kind", "status"),
    [
        (lambda: KeyError("k"), KeyError, None),
        (lambda: jobs.StatusError(429, "slow down"), jobs.StatusError, 429),
        (lambda: ValueError(object()), RemoteError, None),
        (lambda: jobs.MoodyError("m"), RemoteError, None),
        (lambda: jobs.RaisingError("r"), jobs.RaisingError, None),
        (lambda: type("LocalError", (Exception,), {})("l"), RemoteError, None),
    ],
)
def test_what_is_told_of_an_error(make, kind, status):
    """It is of its type where that says the same when it is made again."""
    error = make()
    made = error_of(failure_of(error))
    assert type(made) is kind
    assert getattr(made, "status", None) == status
    if kind is not RemoteError:
        assert str(made) == str(error)
    else:
        assert made.message


def test_errors_are_raised_as_what_they_were():
    """If they can be made again; what they carried goes along, keys do not."""
    with Dispatcher(**ENGINE) as pool:
        error = pool.submit(jobs.fail, 3).exception()
        other = pool.submit(jobs.raise_unpicklable, 1).exception()
    assert type(error) is ValueError
    assert "line" in str(error.__cause__)
    assert type(other) is RemoteError
    assert (other.kind, other.status) == ("tests.engines.jobs.UnpicklableError", 422)
    assert "planted" not in f"{other} {other.__cause__}"


def test_a_journal_remembers_an_error_as_it_was_there(tmp_path):
    """And not as what stands for it here."""
    journal = tmp_path / "journal.db"
    with Dispatcher(**ENGINE) as pool:
        [first] = pool.outcomes(jobs.raise_unpicklable, [1], journal=journal)
        [second] = pool.outcomes(jobs.raise_unpicklable, [1], journal=journal)
    first, second = first.error, second.error
    assert (type(first), type(second)) == (RemoteError, EarlierFailure)
    assert (second.kind, second.message, second.status) == (first.kind, first.message, 422)


def test_no_key_goes_over_the_wire():
    """Neither of requests nor of errors; what is in items and values is their owner's."""
    tape = []

    class Tapped(LocalLink):
        def __init__(self, spec):
            tape.append(spec)
            super().__init__(spec)

        def exchange(self, order):
            report = super().exchange(order)
            tape.extend((order, report))
            return report

    failing = [jobs.raise_unpicklable, jobs.raise_with_key, jobs.ask_by_key]
    with (
        Simulator(api_keys=["sk-planted-engine"]) as sim,
        Simulator(api_keys=["sk-planted-other"]) as refusing,
        Dispatcher(2, engine=Local(Tapped), on_stop="continue") as pool,
    ):
        [fine] = pool.outcomes(jobs.ask, [sim.base_url])
        [refused] = pool.outcomes(jobs.ask, [refusing.base_url])
        failed = [one for fn in failing for one in pool.outcomes(fn, [refusing.base_url])]
    assert fine.ok
    assert refused.error.status == 401
    assert not any(one.ok for one in failed)
    wire = pickle.dumps(tape)
    assert len(tape) > 5
    assert b"HTTPError" in wire  # it is looked at in the right place
    assert b"planted" not in wire


def test_djangos_models_travel(tmp_path):
    """Once its settings are there, in each worker; which may ask the database, too."""
    code = """
import django, threadllm
django.setup()
from django.core.management import call_command
from articles.models import Article, Author
call_command("migrate", run_syncdb=True, verbosity=0)
author = Author.objects.create(name="Ada")
Article.objects.bulk_create(Article(author=author, text=str(n)) for n in range(20))

def call(article):
    return article, Article.objects.select_related("author").get(pk=article.pk).author.name

engine = threadllm.connect("processes", workers=2, init="django:setup")
articles = list(Article.objects.all())
assert threadllm.map(call, articles, engine=engine) == [(one, "Ada") for one in articles]
print("as they were")
"""
    env = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "project.settings",
        "ARTICLES_SQLITE": str(tmp_path / "articles.db"),
        "PYTHONPATH": os.pathsep.join([str(PROJECT), *sys.path]),
    }
    assert python(code, env=env) == "as they were\n"
