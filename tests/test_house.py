import ast
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest

import threadllm

PACKAGE = Path(threadllm.__file__).parent
TESTS = Path(__file__).parent
# What stands on which floor. Imports go down, or stay on their floor; none goes up.
FLOORS = {
    "cli": 9,
    "__main__": 9,
    "__init__": 8,
    "bench": 8,
    "contrib": 8,
    "engines": 8,
    "testing": 8,
    "dispatcher": 7,
    "jobs": 7,
    "transport": 6,
    "call": 5,
    "quota": 4,
    "retry": 4,
    "journal": 3,
    "progress": 3,
    "providers": 3,
    "outcome": 2,
    "clock": 1,
    "exceptions": 1,
    "forks": 1,
    "redaction": 1,
    "simulator": 1,
}
SOLE_IMPORTERS = {
    "aiohttp": "simulator",
    "argparse": "cli",
    "asyncio": "simulator",
    "backoff": "retry",
    "cloudpickle": "engines",
    "django": "contrib",
    "matplotlib": "bench",
    "ray": "engines",
    "requests": "transport",
    "sqlite3": "journal",
    "time": "clock",
    "tqdm": "progress",
    "urllib3": "transport",
}
FILES = sorted(PACKAGE.rglob("*.py"))
LONGEST = 300


def name_of(file):
    """The dotted path of a module within the package: "transport.adapter"."""
    return ".".join(file.relative_to(PACKAGE).with_suffix("").parts)


def room_of(module):
    return module.partition(".")[0]


def imports(file):
    """The (module, name) pairs that a file imports, those for type checkers included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from ((alias.name, None) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file} imports relatively, at line {node.lineno}"
            yield from ((node.module, alias.name) for alias in node.names)


def rooms_imported(file):
    """The other rooms of the package that a file imports."""
    for module, name in imports(file):
        top, _, rest = module.partition(".")
        if top == "threadllm":
            room = room_of(rest or name)
            if room != room_of(name_of(file)):
                yield room if room in FLOORS else "__init__"


def test_every_room_has_its_floor():
    """A new room is put on a floor, and one that is gone leaves none empty."""
    assert {room_of(name_of(file)) for file in FILES} == FLOORS.keys()


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_no_import_goes_up(file):
    """A room imports only what stands on its own floor or below it."""
    floor = FLOORS[room_of(name_of(file))]
    assert [room for room in rooms_imported(file) if FLOORS[room] > floor] == []


def test_rooms_of_one_floor_do_not_import_each_other_in_a_circle():
    """Rooms can be put into an order in which each imports only those before it."""
    wanted = {room: set() for room in FLOORS}
    for file in FILES:
        wanted[room_of(name_of(file))] |= set(rooms_imported(file))
    placed = set()
    while ready := {room for room, needs in wanted.items() if needs <= placed} - placed:
        placed |= ready
    assert placed == wanted.keys()


@pytest.mark.parametrize("library", sorted(SOLE_IMPORTERS))
def test_a_library_is_imported_by_its_own_room_alone(library):
    """Each library behind the package is known to one room."""
    importers = {
        room_of(name_of(file))
        for file in FILES
        for module, _ in imports(file)
        if room_of(module) == library
    }
    assert importers == {SOLE_IMPORTERS[library]}


def test_no_file_is_read_that_may_run_code():
    """No pickle, and nothing else whose files do what they say, but between our own processes."""
    files = [file for file in FILES if room_of(name_of(file)) != "engines"]
    imported = {room_of(module) for file in files for module, _ in imports(file)}
    assert imported & {"dill", "marshal", "pickle", "shelve"} == set()


def test_each_fault_has_its_test():
    """Those of the rows 1 to 30 of the fault matrix are named after them."""
    names = chain.from_iterable(
        re.findall(r"^def (test_fault_\d\d_(?:(?:to|and)_\d\d_)?)", file.read_text(), re.MULTILINE)
        for file in TESTS.rglob("test_*.py")
    )
    tested = set()
    for name in names:
        first, *last = map(int, re.findall(r"\d\d", name))
        tested |= {*range(first, last[0] + 1)} if "_to_" in name else {first, *last}
    assert tested == {*range(1, 31)}


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_private_names_stay_in_their_module(file):
    """No module imports a name that begins with an underscore from another."""
    ours = ((module, name) for module, name in imports(file) if room_of(module) == "threadllm")
    parts = chain.from_iterable((*module.split("."), name or "") for module, name in ours)
    assert [part for part in parts if part.startswith("_") and not part.startswith("__")] == []


@pytest.mark.parametrize("file", FILES, ids=name_of)
def test_a_room_can_be_read_at_a_sitting(file):
    """A module has a docstring and stays within its length."""
    text = file.read_text()
    assert ast.get_docstring(ast.parse(text))
    assert len(text.splitlines()) <= LONGEST


def test_the_package_shows_its_names_in_order():
    """`__all__` is sorted, names what the face imports and no more, and each name is there."""
    others = {"importlib", "typing"}
    imported = {name for module, name in imports(PACKAGE / "__init__.py") if module not in others}
    assert threadllm.__all__ == sorted(imported)
    assert [name for name in threadllm.__all__ if not hasattr(threadllm, name)] == []


def test_what_is_for_tests_is_there_when_it_is_asked_for():
    """`import threadllm` is enough for it."""
    code = "import threadllm; print(threadllm.testing.FakeClock, threadllm.simulator.Simulator)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.count("<class 'threadllm.") == 2


def test_a_name_that_is_not_there_is_told():
    """Asking the package for what it lacks is an AttributeError that names it."""
    with pytest.raises(AttributeError) as caught:
        _ = threadllm.maps
    assert str(caught.value) == "module 'threadllm' has no attribute 'maps'"
