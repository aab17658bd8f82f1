"""Results in a document."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.document import replace


def test_only_the_place_between_the_markers_changes(tmp_path: Path) -> None:
    """The words of a person around a table stay as they are, however often the table is written."""
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- cost -->\nold\n<!-- /cost -->\nafter\n")
    for _ in range(2):
        replace(page, "cost", "| new |\n|---|")

    assert page.read_text() == "before\n<!-- cost -->\n| new |\n|---|\n<!-- /cost -->\nafter\n"


def test_a_document_without_the_place_is_refused(tmp_path: Path) -> None:
    """A marker that is missing is named, and nothing is written."""
    page = tmp_path / "page.md"
    page.write_text("words\n<!-- cost -->\n")

    with pytest.raises(AssertionError, match=r"page\.md has no place for cost"):
        replace(page, "cost", "| new |")
    assert page.read_text() == "words\n<!-- cost -->\n"
