from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from threadllm.progress import AboveBar


def test_what_is_printed_is_said_line_by_line(capsys):
    """A line appears when it is whole; what has no end yet waits for it."""
    stream = AboveBar()
    print("one", "two", file=stream)
    print("three\nfo", end="", file=stream, flush=True)
    said = capsys.readouterr()
    print("ur", file=stream)

    assert (said.out, said.err, capsys.readouterr().err) == ("", "one two\nthree\n", "four\n")
    assert stream.writable()


def test_lines_of_several_threads_stay_apart(capsys):
    """Each thread's line is its own, though they are written in turns."""
    stream, together = AboveBar(), Barrier(2)

    def tell(word):
        for part in (word, word, "\n"):
            together.wait(5)
            stream.write(part)

    with ThreadPoolExecutor(2) as pool:
        assert [*pool.map(tell, "ab")] == [None, None]
    assert sorted(capsys.readouterr().err.split()) == ["aa", "bb"]
