"""Makes prompts.jsonl: 1,000 questions about docstrings of the standard library.

The same interpreter makes the same file; the one kept here was made by CPython 3.11.
"""

from __future__ import annotations

import importlib
import inspect
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

COUNT = 1_000
SHORTEST, LONGEST = 20, 600  # characters of a docstring
MODULES = """
    abc argparse array ast asyncio base64 bisect bz2 calendar cmath cmd codecs collections
    concurrent.futures configparser contextlib copy csv ctypes dataclasses datetime decimal difflib
    dis email.message email.utils enum fileinput fnmatch fractions ftplib functools gettext glob
    gzip hashlib heapq hmac html html.parser http.client http.cookiejar http.server imaplib inspect
    io ipaddress itertools json keyword linecache locale logging logging.handlers lzma mailbox math
    mimetypes multiprocessing netrc operator optparse os os.path pathlib pickle pkgutil platform
    plistlib poplib pprint profile queue random re reprlib sched secrets selectors shelve shlex
    shutil signal smtplib socket socketserver sqlite3 ssl statistics string struct subprocess sys
    tarfile tempfile textwrap threading time timeit token tokenize trace traceback types typing
    unicodedata unittest unittest.mock urllib.parse urllib.request urllib.robotparser uuid
    warnings wave weakref xml.dom.minidom xml.etree.ElementTree xmlrpc.client zipfile zlib
"""


def docstrings() -> Iterator[tuple[str, str]]:
    """Each public function, class and method that says what it does, by its full name."""
    for module in MODULES.split():
        for name, member in inspect.getmembers(importlib.import_module(module)):
            if getattr(member, "__module__", None) != module or name.startswith("_"):
                continue
            yield f"{module}.{name}", inspect.getdoc(member) or ""
            if inspect.isclass(member):
                for part, method in inspect.getmembers(member, inspect.isroutine):
                    if part in vars(member) and not part.startswith("_"):
                        yield f"{module}.{name}.{part}", inspect.getdoc(method) or ""


def main() -> None:
    """Write every n-th of them, so that all modules have their share."""
    by_text = {doc[:LONGEST].strip(): name for name, doc in docstrings() if len(doc) > SHORTEST}
    texts = sorted((name, text) for text, name in by_text.items())
    with Path(__file__).with_name("prompts.jsonl").open("w", encoding="utf-8") as file:
        for index in range(COUNT):
            name, text = texts[index * len(texts) // COUNT]
            prompt = f"Explain in one sentence what this does: {text}"
            file.write(json.dumps({"id": name, "prompt": prompt}) + "\n")


if __name__ == "__main__":
    main()
