"""Promises of commands/kong_files/reader.py; check/test_command.py has the files that are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from otlp_tracing.commands.kong_files.reader import UnreadableFileError, read_documents


def test_the_first_document_counts(tmp_path: Path) -> None:
    """Kong ignores the others; a stream of manifests is read to its end."""
    (tmp_path / "kong.yml").write_text("plugins: []\n---\nplugins: []\n---\nkind: KongPlugin\nplugin: p\n")

    documents = read_documents(tmp_path / "kong.yml", "p".__eq__)
    assert [one.is_ignored for one in documents] == [False, True, False]


@pytest.mark.parametrize(
    ("content", "line", "column", "reason"),
    [("a: 1\nb: [", 3, 1, "is not YAML"), ("", 1, 1, "is empty"), (None, 1, 1, "cannot be read: No such file")],
)
def test_a_file_that_cannot_be_read_has_the_place(
    tmp_path: Path, content: str | None, line: int, column: int, reason: str
) -> None:
    """The place is never read out of the file's name, which may look like one."""
    file = tmp_path / "kong.yml:8:9"
    if content is not None:
        file.write_text(content)

    with pytest.raises(UnreadableFileError) as refused:
        read_documents(file, "p".__eq__)
    error = refused.value
    assert (error.file, error.line, error.column) == (str(file), line, column)
    assert error.reason.startswith(reason)
