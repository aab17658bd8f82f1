"""Copies of shipped files with one word wrong, which the tool that reads them has to refuse."""

from __future__ import annotations

from pathlib import Path


def with_one_wrong(file: Path, folder: Path, right: str, wrong: str) -> Path:
    """Copy a file with the first occurrence of a word replaced.

    Args:
        file: which has the word.
        folder: of the copy.
        right: the word.
        wrong: in its place.
    """
    text = file.read_text()
    assert right in text
    copy = folder / file.name
    copy.write_text(text.replace(right, wrong, 1))
    return copy
