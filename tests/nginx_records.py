"""Log records with nginx's facts, as a real Kong wrote them (tests/testdata/nginx_facts/)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

VERSIONS = ("3.4", "3.9")

_FOLDER = Path(__file__).parent / "testdata" / "nginx_facts"


def recorded(version: str, name: str) -> dict[str, Any]:
    """Return a record by its name in the file of a Kong."""
    lines = map(json.loads, (_FOLDER / f"kong-{version}.jsonl").read_text().splitlines())
    (record,) = [dict(line["record"]) for line in lines if line["name"] == name]
    return record
