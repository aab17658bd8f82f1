"""Tables in the documents that tests compare with the code; `UPDATE_DOCS=1 make test` writes them again."""

from __future__ import annotations

import os
from pathlib import Path


def hold(path: Path, name: str, table: str) -> None:
    """Compare the text between a document's two markers with a table, or write the table there."""
    begin, end = f"<!-- {name} -->\n", f"\n<!-- /{name} -->"
    text = path.read_text()
    head, _, rest = text.partition(begin)
    shown, mark, tail = rest.partition(end)
    assert mark, f"{path.name} has no place for the table of {name}"
    if os.environ.get("UPDATE_DOCS"):
        path.write_text(head + begin + table + end + tail)
    else:
        assert shown == table, f"{path.name} is behind the code; UPDATE_DOCS=1 make test brings it up to date"
