"""SQL in files: a statement is loaded by its name, with the pieces that it shares with others.

A line ``-- include pieces/fold.sql`` stands for that file of the same folder ``sql``, indented as the line is;
``-- include shared/as_of.sql`` for one that packages share, which lies in ``schemas/sql``.
"""

import re
from functools import cache
from importlib.resources import files
from textwrap import indent

SHARED = "shared/"
_INCLUDE = re.compile(r"^( *)-- include (\S+)\.sql\n", re.MULTILINE)


@cache
def load(package: str, name: str) -> str:
    """The text of ``sql/NAME.sql`` in a package; a name may have a folder in it. Raises FileNotFoundError."""
    if name.startswith(SHARED):
        package, name = __package__, name.removeprefix(SHARED)
    text = (files(package) / "sql" / f"{name}.sql").read_text()
    return _INCLUDE.sub(lambda line: indent(load(package, line[2]), line[1]), text)
