"""`bench.Report`: a table, JSON, a chart."""

import json
import subprocess
import sys
from dataclasses import replace

import pytest

import threadllm
from threadllm import bench


@pytest.fixture
def report():
    """One level as it should be, and one at which nobody answers."""
    well = bench.Level(
        concurrency=8,
        seconds=2.0,
        ok=16,
        failed=0,
        throttled=3,
        output_tokens=3000,
        latency=bench.Percentiles(0.9, 1.0, 1.25),
        first_token=bench.Percentiles(0.1, 0.2, 0.35),
        errors={},
    )
    badly = bench.Level(1000, 0.0, 0, 9, 0, 0, None, None, {"A: a\nb": 5, "B: b": 4})
    worse = bench.Level(2000, 1.0, 0, 4, 0, 0, None, None, {"B: b": 2, "C: c": 1})
    about = {"model": "m", "endpoint": "http://llm.example.com/v1"}
    return bench.Report((well, badly, worse), about)


def test_a_table_has_a_row_for_each_level(report):
    """Errors stand below, the most frequent first; what is not known is a dash."""
    title, heads, well, badly, worse, *errors = report.table().splitlines()
    assert title == "m, http://llm.example.com/v1"
    assert heads.split("  ")[0].strip() == "at a time"
    assert well.split() == [
        "8",
        "8.00",
        "1,500",
        "0.100",
        "0.350",
        "0.900",
        "1.000",
        "1.250",
        "16",
        "0",
        "3",
    ]
    assert badly.split() == ["1,000", "0.00", "-", "-", "-", "-", "-", "-", "0", "9", "0"]
    assert worse.split()[0] == "2,000"
    assert len({len(line) for line in (heads, well, badly, worse)}) == 1
    assert errors == ["6 x B: b", "5 x A: a b", "1 x C: c"]


def test_no_title_takes_no_line(report):
    """As of a sweep in a script."""
    assert bench.Report(report.levels).table().splitlines()[0].startswith("at a time")


def test_the_figures_are_written_as_json(report, tmp_path):
    """With the machine, and all that the table has."""
    report.write(tmp_path / "bench.json")
    written = json.loads((tmp_path / "bench.json").read_text())
    assert (written["model"], written["threadllm"]) == ("m", threadllm.__version__)
    assert written["levels"][0] == {
        "concurrency": 8,
        "seconds": 2.0,
        "ok": 16,
        "failed": 0,
        "throttled": 3,
        "output_tokens": 3000,
        "requests_per_second": 8.0,
        "tokens_per_second": 1500.0,
        "latency": {"p50": 0.9, "p90": 1.0, "p99": 1.25},
        "first_token": {"p50": 0.1, "p90": 0.2, "p99": 0.35},
        "errors": {},
    }
    assert written["levels"][1]["latency"] is None


def test_a_chart_is_drawn(report, tmp_path):
    """As its suffix says; axes have names and units."""
    for name, begin in (("bench.png", b"\x89PNG"), ("bench.svg", b"<?xml"), ("bench.pdf", b"%PDF")):
        report.draw(tmp_path / name)
        assert (tmp_path / name).read_bytes().startswith(begin)


def test_a_chart_of_what_is_not_streamed_has_no_first_tokens(report, tmp_path):
    """Only the lines of what there is."""
    [well, *_] = report.levels
    bench.Report((replace(well, first_token=None),)).draw(tmp_path / "bench.svg")
    report.draw(tmp_path / "all.svg")
    # Each line has one legend entry, whose text matplotlib leaves as a comment.
    drawn, all_drawn = ((tmp_path / name).read_text() for name in ("bench.svg", "all.svg"))
    assert drawn.count("first token") == 0
    assert all_drawn.count("<!-- first token") == 2


def test_another_format_is_refused(report, tmp_path):
    """By what would do."""
    with pytest.raises(threadllm.OptionError, match=r"name it \.png, \.svg or \.pdf"):
        report.draw(tmp_path / "bench.doc")


def test_without_matplotlib_it_says_what_to_install(tmp_path):
    """A table is to be had all the same."""
    program = (
        "import sys; sys.modules['matplotlib'] = None; from threadllm import bench\n"
        "report = bench.Report(()); print(report.table())\n"
        "try: report.draw('bench.png')\n"
        "except ValueError as error: print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.splitlines()[-1].endswith("pip install 'threadllm[bench]'")
