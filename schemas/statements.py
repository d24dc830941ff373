"""SQL in files: a statement is loaded by its name, with the pieces that it shares with others.

A line ``-- include pieces/fold.sql`` stands for that file of the same folder ``sql``, indented as the line is.
"""

import re
from functools import cache
from importlib.resources import files
from textwrap import indent

_INCLUDE = re.compile(r"^( *)-- include (\S+)\.sql\n", re.MULTILINE)


@cache
def load(package: str, name: str) -> str:
    """The text of ``sql/NAME.sql`` in a package; a name may have a folder in it. Raises FileNotFoundError."""
    text = (files(package) / "sql" / f"{name}.sql").read_text()
    return _INCLUDE.sub(lambda line: indent(load(package, line[2]), line[1]), text)
