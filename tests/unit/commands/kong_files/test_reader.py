"""Promises of commands/kong_files/reader.py; check/test_command.py has the files that are refused."""

from __future__ import annotations

from pathlib import Path

from otlp_tracing.commands.kong_files.reader import read_documents


def test_the_first_document_counts(tmp_path: Path) -> None:
    """Kong ignores the others; a stream of manifests is read to its end."""
    (tmp_path / "kong.yml").write_text("plugins: []\n---\nplugins: []\n---\nkind: KongPlugin\nplugin: p\n")

    documents = read_documents(tmp_path / "kong.yml", "p".__eq__)
    assert [one.is_ignored for one in documents] == [False, True, False]
