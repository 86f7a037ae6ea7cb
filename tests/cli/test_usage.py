"""Options: refused by the name they were typed with, and each with its help."""

import argparse
import runpy
import subprocess
import sys
from importlib import import_module
from importlib.metadata import entry_points

import pytest

import threadllm
from threadllm.cli import main
from threadllm.cli.main import parser

COMMANDS = ("call", "run", "bench", "journal", "simulate")
THREADS = "give a whole number from 1 to 10,000"


@pytest.mark.parametrize("command", ["call", "run"])
@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("-c/--concurrency", "0", f"'0': {THREADS}"),
        ("-c/--concurrency", "-1", f"'-1': {THREADS}"),
        ("-c/--concurrency", "1.5", f"'1.5': {THREADS}"),
        ("-c/--concurrency", "10001", f"'10001': {THREADS}"),
        ("--timeout", "0", "'0': give a number above 0"),
        ("--timeout", "-3", "'-3': give a number above 0"),
        ("--timeout", "nan", "'nan': give a number above 0"),
        ("--timeout", "inf", "'inf': give a number above 0"),
        ("--timeout", "soon", "'soon': give a number above 0"),
        ("--retries", "-1", "'-1': give a whole number, 0 or more"),
        ("--retries", "many", "'many': give a whole number, 0 or more"),
    ],
)
def test_a_figure_that_cannot_be_meant_is_refused(
    cli, llm, prompts, command, option, value, reason
):
    """Option, value and what would do are told; nothing is made and nothing sent."""
    target = [f"{llm}:echo"] if command == "call" else []
    long = option.rpartition("/")[2]

    done = cli(command, *target, prompts, "-o", "out.jsonl", long, value)

    assert done.status == 2
    assert done.err.splitlines()[-1] == f"threadllm {command}: error: argument {option}: {reason}"
    assert not (prompts.parent / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("option", "value", "reason"),
    [
        ("--rpm", "0", "'0': give a number above 0"),
        ("--throttled", "1.5", "'1.5': give a share from 0 to 1"),
        ("--port", "-1", "'-1': give a port from 1 to 65535, or 0 for any that is free"),
    ],
)
def test_a_setting_of_the_simulator_likewise(cli, option, value, reason):
    """`threadllm simulate` refuses in the same words as `--simulate`."""
    done = cli("simulate", option, value)

    assert done.status == 2
    assert done.err.splitlines()[-1] == f"threadllm simulate: error: argument {option}: {reason}"


@pytest.mark.parametrize(
    ("argv", "reason"),
    [
        ([], "threadllm: error: the following arguments are required: COMMAND"),
        (
            ["call", "f:f", "in.txt"],
            "threadllm call: error: the following arguments are required: -o/--output",
        ),
        (["run", "-o", "out"], "threadllm run: error: the following arguments are required: INPUT"),
        (
            ["run", "in.txt", "-o", "out", "--key", "sk"],
            "threadllm: error: unrecognized arguments: --key sk",
        ),
    ],
)
def test_what_is_missing_is_told(cli, argv, reason):
    """A command line that is not whole, or says too much, is a matter of usage."""
    done = cli(*argv)

    assert (done.status, done.err.splitlines()[-1]) == (2, reason)


def commands():
    [choice] = [a for a in parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return choice.choices


def test_the_commands_are_those_that_are_tested():
    """A new command takes its place here."""
    assert tuple(commands()) == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_each_option_has_its_help(cli, command):
    """The help of a command names every option, and says what each is for."""
    done = cli(command, "--help")

    actions = commands()[command]._actions
    assert done.status == 0
    assert [action.dest for action in actions if not action.help] == []
    shown = [action.option_strings or [action.metavar] for action in actions]
    assert [name for names in shown for name in names if name not in done.out] == []


def test_the_help_names_the_commands_and_the_statuses(cli):
    """`threadllm --help` says what there is, and what its exit status means."""
    done = cli("--help")

    assert done.status == 0
    for text in (*COMMANDS, "Exit status: 0 all ok, 1 some", "2 usage", "130", "143"):
        assert text in done.out


def test_the_script_and_the_module_are_the_same_command(monkeypatch, capsys):
    """`threadllm` and `python -m threadllm` both run `main`; importing the latter does nothing."""
    [script] = entry_points(group="console_scripts", name="threadllm")
    monkeypatch.setattr(sys, "argv", ["python -m threadllm", "--help"])

    assert script.load() is main
    assert import_module("threadllm.__main__").main is main
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(import_module("threadllm.__main__").__file__, run_name="__main__")
    assert ended.value.code == 0
    assert capsys.readouterr().out.startswith("usage: threadllm [-h] [--version] COMMAND ...\n")


def test_the_module_can_be_run():
    """`python -m threadllm --help` works in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "threadllm", "--help"], capture_output=True, text=True, check=True
    )

    assert done.stdout.startswith("usage: threadllm [-h] [--version] COMMAND ...\n")


def test_the_version_is_told(cli):
    """It is that of the package."""
    assert cli("--version") == (0, f"threadllm {threadllm.__version__}\n", "")
