"""`threadllm call`: what comes in, under which name, and in which form the function gets it."""

import json

import pytest

from tests.cli.conftest import ok, records, values
from threadllm.simulator import answer_to

HELLO = '{"prompt": "hello"}\n'


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        (
            "in.jsonl",
            '{"prompt": "a"}\n{"id": "x", "n": 1}\n',
            [("x", {"id": "x", "n": 1}), (1, "a")],
        ),
        ("in.ndjson", '{"prompt": "a"}\n', [(1, "a")]),
        ("in.txt", "a\n\nb\n", [(1, "a"), (3, "b")]),
        (
            "in.csv",
            "id,q\nx,1\ny,2\n",
            [("x", {"id": "x", "q": "1"}), ("y", {"id": "y", "q": "2"})],
        ),
    ],
)
def test_each_kind_of_file_is_read(cli, llm, write, name, content, expected):
    """JSON lines, text and CSV give an item a line or a row."""
    done = cli("call", f"{llm}:echo", write(name, content), "-o", "out.jsonl")

    assert done.status == 0
    assert values("out.jsonl") == expected


def test_a_line_says_what_became_of_its_item(cli, llm, prompts, sim):
    """An item that went well has its value, its attempts and its tokens."""
    done = cli("call", f"{llm}:ask", prompts, "-o", "out.jsonl")

    assert done.status == 0
    assert records("out.jsonl") == [
        ok(number, answer_to(prompt), tokens=(1, 7)) for number, prompt in enumerate("abc", 1)
    ]


def test_dashes_are_standard_input_and_output(cli, llm, stdin):
    """A dash reads JSON lines from stdin; another writes the results to stdout."""
    stdin(HELLO.encode())

    done = cli("call", f"{llm}:shout", "-", "-o", "-")

    assert done.status == 0
    assert json.loads(done.out)["value"] == "hello!"


def test_results_alone_go_to_stdout(cli, write, prompts):
    """With the results on stdout, what the function's file prints goes to stderr."""
    noisy = write("noisy.py", "print('loaded')\ndef f(x):\n    print('called', x)\n    return x\n")

    done = cli("call", f"{noisy}:f", prompts, "-o", "-", "--no-progress", "-c", 1)

    assert [json.loads(line)["value"] for line in done.out.splitlines()] == ["a", "b", "c"]
    assert done.err.splitlines()[:4] == ["loaded", "called a", "called b", "called c"]


def test_with_results_in_a_file_prints_stay_where_they_are(cli, write, prompts):
    """A function that prints prints to stdout, as it always did."""
    noisy = write("noisy.py", "def f(x):\n    print('called', x)\n")

    done = cli("call", f"{noisy}:f", prompts, "-o", "out.jsonl", "-c", 1)

    assert done.out == "called a\ncalled b\ncalled c\n"


@pytest.mark.parametrize(
    ("line", "unpack", "expected"),
    [
        ('{"text": "a", "mark": "?"}', "kwargs", "a?"),
        ('{"id": "x", "text": "a"}', "kwargs", "a!"),
        ('["a", "?"]', "args", "a?"),
        ('{"prompt": "a"}', "args", "a!"),
    ],
)
def test_items_are_unpacked(cli, llm, write, line, unpack, expected):
    """Fields become keywords, elements positionals; the name is not forced on the function."""
    source = write("in.jsonl", line + "\n")

    done = cli("call", f"{llm}:shout", source, "-o", "out.jsonl", "--unpack", unpack)

    assert done.status == 0
    assert [value for _, value in values("out.jsonl")] == [expected]


@pytest.mark.parametrize(
    ("signature", "expected"),
    [("text", "x"), ("id, text", "7x"), ("text, **more", "x['id']")],
)
def test_a_name_is_handed_over_to_those_who_take_it(cli, write, signature, expected):
    """Of a row's fields the one that names it goes to functions that have a place for it."""
    body = {"text": "text", "id, text": "f'{id}{text}'", "text, **more": "text + str([*more])"}
    script = write("f.py", f"def f({signature}):\n    return {body[signature]}\n")
    source = write("in.csv", "id,text\n7,x\n")

    cli("call", f"{script}:f", source, "-o", "out.jsonl", "--unpack", "kwargs")

    assert values("out.jsonl") == [("7", expected)]


def test_a_function_without_a_readable_signature_gets_all(cli, write):
    """A builtin that does not tell its parameters is handed every field."""
    source = write("in.jsonl", '{"a": 1}\n')

    cli("call", "builtins:dict", source, "-o", "out.jsonl", "--unpack", "kwargs")

    assert values("out.jsonl") == [(1, {"a": 1})]


def test_a_key_names_the_items(cli, llm, write):
    """--key takes another field for the name, and spares the function that field."""
    source = write("in.csv", "name,text\nx,a\ny,b\n")

    cli("call", f"{llm}:shout", source, "-o", "out.jsonl", "--key", "name", "--unpack", "kwargs")

    assert values("out.jsonl") == [("x", "a!"), ("y", "b!")]


def test_ids_keep_their_types(cli, llm, write):
    """1, "1", 1.0 and true are four names, and come out as they went in."""
    ids = ["1", '"1"', "1.0", "true", '"\\ud800"']
    source = write("in.jsonl", "".join(f'{{"id": {name}, "prompt": ""}}\n' for name in ids))

    done = cli("call", f"{llm}:echo", source, "-o", "out.jsonl", "--ordered")

    lines = (llm.parent / "out.jsonl").read_text().splitlines()
    assert done.status == 0
    assert [line.partition(", ")[0] for line in lines] == [f'{{"id": {name}' for name in ids]


@pytest.mark.parametrize(
    ("option", "awaited", "expected"),
    [
        ("--no-progress", "'b' in Path('out.jsonl').read_text()", ["b", "a"]),
        ("--ordered", "called == ['b']", ["a", "b"]),
    ],
)
def test_results_come_as_they_finish_or_in_order(cli, write, option, awaited, expected):
    """A slow first item holds the others back only with --ordered."""
    script = write(
        "f.py",
        "from pathlib import Path\n"
        "called = []\n"
        "def f(x):\n"
        f"    while x == 'a' and not ({awaited}):\n"
        "        pass\n"
        "    called.append(x)\n"
        "    return x\n",
    )

    cli("call", f"{script}:f", write("in.txt", "a\nb\n"), "-o", "out.jsonl", "-c", 2, option)

    lines = (script.parent / "out.jsonl").read_text().splitlines()
    assert [json.loads(line)["value"] for line in lines] == expected


def test_no_more_calls_than_asked_for_are_in_progress(cli, write, prompts):
    """--concurrency bounds the calls at a time."""
    script = write(
        "f.py",
        "import threading\nfree = threading.Semaphore(2)\n"
        "def f(x):\n    got = free.acquire(blocking=False)\n    free.release()\n    return got\n",
    )

    cli("call", f"{script}:f", prompts, "-o", "out.jsonl", "-c", 2)

    assert values("out.jsonl") == [(1, True), (2, True), (3, True)]


def test_an_empty_file_is_no_error(cli, llm, write):
    """No items, no lines, all well."""
    done = cli("call", f"{llm}:echo", write("in.jsonl", ""), "-o", "out.jsonl")

    assert done.status == 0
    assert done.err.splitlines()[1] == "0 items: 0 ok, 0 failed -> out.jsonl"
    assert records("out.jsonl") == []


def test_lines_that_cannot_be_used_are_refused_and_the_rest_goes_on(cli, llm, write, sim):
    """Each is told with its number, nothing is sent for it, and the status says so."""
    lines = [
        '{"id": 1, "prompt": "a"}',
        "[1]",
        '{"prompt": NaN}',
        "{",
        '{"id": 1, "prompt": "b"}',
        '{"prompt": "c"}',
    ]
    source = write("in.jsonl", "\n".join(lines))

    done = cli("call", f"{llm}:ask", source, "-o", "out.jsonl", "--no-progress")

    assert done.status == 1
    assert done.err.splitlines()[:5] == [
        (
            'refused: line 2: is a JSON array, not an object. Write {"id": …, "prompt": …}, '
            "or unpack it as args"
        ),
        "refused: line 3: has NaN, which is not JSON. Write null, or leave the field out",
        (
            "refused: line 4: is not JSON: Expecting property name enclosed in double quotes "
            "(character 2). Write one whole JSON value on each line"
        ),
        "refused: line 5: has the id 1 of an earlier line. Give it its own",
        "2 items: 2 ok, 0 failed; 4 lines refused -> out.jsonl",
    ]
    assert [name for name, _ in values("out.jsonl")] == [1, 6]
    assert sim.counts().requests == 2
