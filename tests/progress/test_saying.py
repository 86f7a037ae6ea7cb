import io
import sys

import tqdm

from threadllm.progress.saying import say


def test_a_line_is_said_on_stderr(capsys):
    """Without a bar it is a line like any other."""
    say("one")
    say("two")

    assert capsys.readouterr() == ("", "one\ntwo\n")


def test_a_line_stands_above_the_bar(monkeypatch):
    """The bar is wiped off, the line written at the margin, and the bar painted below it."""
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    with tqdm.tqdm(total=2, file=sys.stderr) as bar:
        say("planted")
        before, after = sys.stderr.getvalue().split("planted\n")
        bar.update(2)

    assert before.rsplit("\r", 2)[1].strip() == ""
    assert before.endswith("\r")
    assert after.startswith("\r  0%")


def test_a_line_is_said_on_another_stream(capsys):
    """Where that is the bar's."""
    stream = io.StringIO()
    say("planted", stream)

    assert stream.getvalue() == "planted\n"
    assert capsys.readouterr() == ("", "")
