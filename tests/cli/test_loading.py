"""MODULE_OR_FILE:FUNCTION: what is found, and what is said where nothing is."""

import sys

import pytest

from tests.cli.conftest import values

FIRST_LINES = "def one(x):\n    return x + '1'\n\ndef two(x):\n    return x + '2'\n"


@pytest.fixture
def call(cli, prompts):
    """Runs `threadllm call` on a target."""

    def run(target):
        return cli("call", target, prompts, "-o", "out.jsonl", "--no-progress")

    return run


def refused(status, text):
    """How a command ends whose function cannot be had."""
    return (status, "", f"threadllm: {text}\n")


def test_a_file_imports_what_lies_beside_it(call, write):
    """A script's folder is on the path, as if it were run."""
    write("scripts/beside_it.py", FIRST_LINES)
    script = write("scripts/my-script.py", "from beside_it import two\n")

    assert call(f"{script}:two").status == 0
    assert values("out.jsonl") == [(1, "a2"), (2, "b2"), (3, "c2")]


@pytest.mark.parametrize("name", ["queue", "json", "statistics", "requests"])
def test_a_script_may_be_called_like_a_module(call, write, name):
    """It takes nobody's place, be that module loaded already or yet to be."""
    before = sys.modules.get(name)
    script = write(f"{name}.py", FIRST_LINES)

    assert call(f"{script}:one").status == 0
    assert values("out.jsonl") == [(1, "a1"), (2, "b1"), (3, "c1")]
    assert sys.modules.get(name) is before


def test_a_script_knows_where_it_lies(call, write):
    """`__file__` is there, and absolute, for what a script reads from beside itself."""
    script = write("scripts/f.py", "def f(x):\n    return __file__\n")

    assert call("scripts/f.py:f").status == 0
    assert values("out.jsonl") == [(number, str(script)) for number in (1, 2, 3)]


def test_a_script_can_be_imported_by_its_name(call, write):
    """What it imports may import it back, and finds it."""
    write("back.py", "import a_script\n\ndef one(x):\n    return a_script.MARK\n")
    script = write("a_script.py", "MARK = '!'\nfrom back import one\n")

    assert call(f"{script}:one").status == 0
    assert values("out.jsonl") == [(1, "!"), (2, "!"), (3, "!")]


def test_a_module_is_found_from_the_current_folder(call, write):
    """A package is imported by its dotted name, as `python -m` does."""
    write("pkg/__init__.py", "")
    write("pkg/llm.py", FIRST_LINES)

    assert call("pkg.llm:one").status == 0
    assert values("out.jsonl") == [(1, "a1"), (2, "b1"), (3, "c1")]


@pytest.mark.parametrize("name", ["Client.static", "Client.of_class", "client.ask", "client"])
def test_a_dotted_name_is_followed(call, write, name):
    """A method of a class or of an object will do, and so will an object that can be called."""
    write(
        "methods.py",
        """
class Client:
    @staticmethod
    def static(x):
        return x * 2

    @classmethod
    def of_class(cls, x):
        return x * 2

    def ask(self, x):
        return x * 2

    __call__ = ask

client = Client()
""",
    )

    assert call(f"methods:{name}").status == 0
    assert values("out.jsonl") == [(1, "aa"), (2, "bb"), (3, "cc")]


@pytest.mark.parametrize("target", ["llm", "llm.py", ":ask", "llm:"])
def test_a_target_has_two_parts(call, target):
    """Without a module or without a function, the form is told."""
    assert call(target) == refused(2, f"{target}: write MODULE:FUNCTION or FILE.py:FUNCTION")


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("gone.py:f", "gone.py: there is no such file"),
        (
            "gone:f",
            "gone: its import fails with ModuleNotFoundError: No module named 'gone'",
        ),
        (
            "fails.py:f",
            "fails.py: its import fails with ValueError: no leave for Bearer [redacted]",
        ),
        (
            "wrong.py:f",
            "wrong.py: its import fails with SyntaxError: invalid syntax (wrong.py, line 1)",
        ),
        (
            "ends.py:f",
            (
                "ends.py: its import ends the program (SystemExit: 3). "
                'Put what it does as a script under: if __name__ == "__main__":'
            ),
        ),
        ("some.py:three", "some.py:three: no such function; there are: one, two"),
        ("none.py:f", "none.py:f: no such function; there are: none"),
        ("none.py:NUMBER", "none.py:NUMBER: is of type int, not a function"),
        ("later.py:f", "later.py:f: is async; threadllm runs synchronous functions"),
        ("later.py:g", "later.py:g: is async; threadllm runs synchronous functions"),
        ("later.py:h", "later.py:h: is async; threadllm runs synchronous functions"),
        ("later.py:partly", "later.py:partly: is async; threadllm runs synchronous functions"),
    ],
)
def test_what_cannot_be_called_is_refused(call, write, target, reason):
    """The error says what is wrong and what there is; nothing is run and no file is made."""
    write("fails.py", "raise ValueError('no leave for Bearer sk-planted-0123456789')\n")
    write("wrong.py", "def\n")
    write("ends.py", "import sys\nsys.exit(3)\n")
    write("some.py", FIRST_LINES)
    write("none.py", "NUMBER = 1\n")
    write(
        "later.py",
        """
from functools import partial

async def f(x):
    pass

async def g(x):
    yield x

class H:
    async def __call__(self, x):
        pass

h, partly = H(), partial(f, 1)
""",
    )

    assert call(target) == refused(2, reason)
    assert not (write("x", "").parent / "out.jsonl").exists()


def test_ctrl_c_while_a_module_is_loaded_ends_the_command(call, write):
    """A module that takes long to import can be interrupted, without a traceback."""
    script = write("slow.py", "raise KeyboardInterrupt\n")

    assert call(f"{script}:f") == (130, "", "")
