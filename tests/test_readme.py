import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from threadllm.cli.main import parser
from threadllm.simulator import Simulator

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(
    r"^    (.*threadllm (?:call|run|bench|journal|simulate) .*)$", README, re.MULTILINE
)
DJANGO = next(block for block in BLOCKS if "django" in block)
PROJECT = ROOT / "tests" / "contrib" / "django_project"
MAKE_ARTICLES = """
from articles.models import Article, Author
author = Author.objects.create(name="Ada")
for text in ["one", "two", "three"]:
    Article.objects.create(author=author, text=text)
"""
SHOW_SUMMARIES = """
from articles.models import Article
print(*Article.objects.order_by("pk").values_list("summary", flat=True), sep="\\n")
"""


def test_the_examples_run(monkeypatch, capsys, tmp_path):
    """The function of the first example is called by all, and every prompt is answered."""
    monkeypatch.chdir(tmp_path)  # where the journal goes
    with Simulator() as simulator:
        monkeypatch.setenv("OPENAI_BASE_URL", simulator.base_url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-readme")
        names = {}
        for block in BLOCKS:
            if block != DJANGO:
                exec(compile(block, "README.md", "exec"), names)
        assert [type(answer) for answer in names["answers"]] == [str, str, str]
        assert simulator.counts().by_status == {200: 15}
    figures = (
        r"3 of 3 ok\nmedian \d\.\d+ s\ntokens [1-9]\d+\n"
        rf"\(LineSnapshot\(origin='{simulator.url}', model='gpt-4o-mini', .*, pace=500, "
        r"limits=\(.*source='stated'.*\), paused=0\.0, breaker='closed'\),\)\n"
        r"(What is a .*\? Answer .* False\n){3}"
    )
    assert re.fullmatch(figures, capsys.readouterr().out)


def test_the_management_command_runs(tmp_path):
    """In a project with three articles each gets its summary."""
    project = shutil.copytree(PROJECT, tmp_path / "project")
    command = project / "articles" / "management" / "commands" / "summarize_articles.py"
    assert command.read_text() == re.sub("  # .*", "", DJANGO)  # else the tests have another one
    command.write_text(DJANGO)
    [line] = re.findall(r"^    python (manage\.py .*)$", README, re.MULTILINE)
    with Simulator() as simulator:
        environment = {
            **os.environ,
            "ARTICLES_SQLITE": str(tmp_path / "articles.db"),
            "DJANGO_SETTINGS_MODULE": "project.settings",
            "OPENAI_BASE_URL": simulator.base_url,
            "OPENAI_API_KEY": "sk-planted-readme",
        }

        def manage(*words):
            ended = subprocess.run(
                [sys.executable, "manage.py", *words],
                cwd=project,
                env=environment,
                capture_output=True,
                text=True,
                check=False,
            )
            assert (ended.returncode, ended.stderr) == (0, "")
            return ended.stdout

        manage("migrate", "--run-syncdb")
        manage("shell", "--command", MAKE_ARTICLES)
        assert manage(*shlex.split(line)[1:]).startswith("3 saved, 0 failed, ")
        shown = manage("shell", "--command", SHOW_SUMMARIES)
    assert [f"would: {text}\n" in shown for text in ("one", "two", "three")] == [True] * 3


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_are_understood(line):
    """Each command in the README is one that the parser takes."""
    arguments = shlex.split(line.partition("threadllm ")[2])
    assert parser().parse_args(arguments).run


def commands():
    """The parsers of the commands, by name."""
    actions = parser()._actions
    return next(a for a in actions if isinstance(a, argparse._SubParsersAction)).choices


def test_every_command_is_in_the_readme():
    """A new command is shown in the README."""
    shown = {line.partition("threadllm ")[2].split()[0] for line in COMMANDS}
    assert shown == commands().keys()


def test_every_public_name_of_the_table_exists():
    """The entry points that the table names are there."""
    import threadllm

    named = re.findall(r"threadllm\.([A-Za-z]+)\(", README)
    assert [name for name in named if not hasattr(threadllm, name)] == []


def test_continuous_integration_runs_the_readmes_commands():
    """The two commands are taken from the README, word for word."""
    two = re.findall(r"^    (python3 -m venv .*)$", README, re.MULTILINE)
    assert [line.split()[-1] for line in two] == ["results.jsonl", "pytest"]


def test_nothing_is_left_to_be_filled_in():
    """No line is a word in capitals that waits for its text."""
    assert re.findall(r"^[A-Z]{4,}$", README, re.MULTILINE) == []


def test_its_figures_are_those_of_the_last_run(beside):
    """Every one is in the committed results, of a run that was not a quick one."""
    readme = beside("readme")
    about, found = beside("results").read(readme.FIGURES / "results.json")
    told = README.partition(readme.BEGIN)[2].partition(readme.END)[0]
    assert told == readme.section(about, found)
    assert about["quick"] is False
    assert about["machine"]["versions"]["threadllm"]
    for chart in readme.CHARTS:
        assert (readme.FIGURES / f"{chart}.png").read_bytes().startswith(b"\x89PNG")


def test_the_figures_of_another_run_are_taken_over(beside, monkeypatch, tmp_path):
    """By one command; all else in the README stays as it is."""
    readme = beside("readme")
    run = shutil.copytree(readme.FIGURES, tmp_path / "run")
    text = (run / "results.json").read_text().replace('"cores": 2', '"cores": 512')
    (run / "results.json").write_text(text)
    (tmp_path / "README.md").write_text(f"before\n{readme.BEGIN}old\n{readme.END}after\n")
    monkeypatch.setattr(readme, "ROOT", tmp_path)
    monkeypatch.setattr(readme, "FIGURES", tmp_path / "figures")
    monkeypatch.setattr(sys, "argv", ["readme.py", str(run)])
    readme.main()
    before, told, after = (tmp_path / "README.md").read_text().partition("512 cores")
    assert before == f"before\n{readme.BEGIN}"
    assert after.endswith(f"{readme.END}after\n")
    assert told
    assert {one.name for one in (tmp_path / "figures").iterdir()} == {
        "results.json",
        *(f"{chart}.png" for chart in readme.CHARTS),
    }
    monkeypatch.setattr(sys, "argv", ["readme.py", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match=r"has no results\.json"):
        readme.main()
