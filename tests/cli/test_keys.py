"""`threadllm run`: the key, which is sent to the provider and shown to nobody."""

import pytest

from threadllm.simulator import Simulator, digest

KEY = "sk-planted-0123456789"
WRONG = (
    "it holds a line break, a space or a character beyond ASCII, such as a typographic quote. "
    "Set it again, to the key alone"
)


@pytest.fixture
def run(cli, write):
    """Runs `threadllm run` on one prompt."""

    def with_options(*options):
        source = write("in.jsonl", '{"prompt": "a", "model": "m"}\n')
        return cli("run", source, "-o", "out.jsonl", "--no-progress", "--overwrite", *options)

    return with_options


def test_without_a_key_no_authorization_is_sent(run, sim):
    """A local server is asked as it is."""
    assert run().status == 0
    assert sim.counts().by_key == {"none": 1}


@pytest.mark.parametrize("options", [(), ("--api-key-env", "MY_KEY")])
def test_the_key_comes_from_the_environment(run, sim, monkeypatch, options):
    """OPENAI_API_KEY is taken, or the variable that is named, and never written anywhere."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-other-key" if options else KEY)
    monkeypatch.setenv("MY_KEY", KEY)

    done = run(*options)

    assert done.status == 0
    assert sim.counts().by_key == {f"key-{digest(KEY)}": 1}


def test_a_netrc_does_not_replace_the_key(run, sim, write, monkeypatch):
    """What the user has in ~/.netrc for the host does not go out in the key's place."""
    netrc = write("netrc", "machine 127.0.0.1 login me password planted\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    monkeypatch.setenv("OPENAI_API_KEY", KEY)

    assert run().status == 0
    assert sim.counts().by_key == {f"key-{digest(KEY)}": 1}


@pytest.mark.parametrize("value", [None, ""])
@pytest.mark.parametrize(
    ("name", "shown"), [("MY_KEY", "MY_KEY"), (KEY, "what it names"), ("a1b2C3", "what it names")]
)
def test_a_variable_that_is_not_set_is_told(run, sim, monkeypatch, name, shown, value):
    """Its name is told, unless that may be the key itself, given in the name's place."""
    if value is not None:
        monkeypatch.setenv(name, value)

    done = run("--api-key-env", name)

    assert (done.status, done.err) == (
        2,
        (
            f"threadllm: --api-key-env: {shown} is not set, or is empty. Give the name of the "
            "variable that holds the key, such as OPENAI_API_KEY, never the key itself\n"
        ),
    )
    assert sim.counts().requests == 0


@pytest.mark.parametrize("value", [f"{KEY}\n", f"“{KEY}”", f"{KEY} ", f"{KEY}\udc80", f"\t{KEY}"])
@pytest.mark.parametrize("options", [(), ("--api-key-env", "OPENAI_API_KEY")])
def test_a_key_that_cannot_be_sent_is_refused_unseen(run, sim, monkeypatch, value, options):
    """The variable is named and the trouble described, and the key itself is not printed."""
    monkeypatch.setenv("OPENAI_API_KEY", value)

    done = run(*options)

    assert done == (2, "", f"threadllm: OPENAI_API_KEY: {WRONG}\n")
    assert sim.counts().requests == 0


def test_a_key_that_is_not_accepted_is_shown_nowhere(run, tmp_path, monkeypatch):
    """Neither the output nor stderr holds it."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with Simulator(api_keys=["another"]) as sim:
        done = run("--base-url", sim.base_url)

    assert done.status == 1
    assert KEY not in done.err + (tmp_path / "out.jsonl").read_text()
