"""Docstrings, comments and pages are plain English, as far as counting can tell."""

from __future__ import annotations

from pathlib import Path

import pytest

import prose

MOST_WHATS = 2.0
MOST_OTHER_HABITS = 0.6
"""Of 1,000 words in docstrings and comments."""

LONGEST_MEAN = 18
LONGEST_SENTENCE = 35
"""Words a sentence, in README and docs."""

MOST_WHATS_IN_PAGES = 2.0
MOST_OTHER_HABITS_IN_PAGES = 0.6
"""Of 1,000 words in README and docs."""


def texts(tmp_path: Path, name: str, text: str) -> list[prose.Text]:
    path = tmp_path / name
    path.write_text(text)
    return prose.texts_of(path)


@pytest.mark.parametrize(
    ("text", "habit"),
    [
        ("Return what\nis left.", "what"),
        ("Whoever reads it.", "who"),
        ("The oldest goes.", "goes"),
        ("It stands in the way.", "stands"),
        ("3.5 is\nnone.", "is none"),
        ("Nobody reads it.", "nobody"),
        ("A fault of ours.", "of ours"),
        ("It would wait else.", "else"),
        ("Returns the first, else the last.", "else"),
    ],
)
def test_a_habit_is_counted(text: str, habit: str, tmp_path: Path) -> None:
    """Each habit is found once in a docstring and once in a comment, across a line break too."""
    comment = "\n".join(f"# {line}" for line in text.split("\n"))
    found = prose.figures(texts(tmp_path, "one.py", f'"""{text}"""\nx = 1\n{comment}\n'))

    assert {name: count for name, count in found.habits.items() if count} == {habit: 2}


@pytest.mark.parametrize(
    "text",
    ["Written in Go.", "The stand-in Kong.", "`what` is a name.", "None is returned.", "Nothing else.", "A what-if."],
)
def test_plain_english_is_not_counted(text: str, tmp_path: Path) -> None:
    """Names, code and ordinary phrases are not habits."""
    found = prose.figures(texts(tmp_path, "one.py", f'"""{text}"""\n'))

    assert sum(found.habits.values()) == 0


def test_sentences_of_a_page_are_measured(tmp_path: Path) -> None:
    """Paragraphs and items are measured to their full stop, version numbers and code do not end a sentence."""
    page = (
        "# A heading.\n\nKong 3.9.1 runs\n`a. b` now. Then:\n\n- one item\n- A sentence\n  here.\n\n    code. code.\n"
    )
    found = prose.figures(texts(tmp_path, "one.md", page))

    assert found.lengths == [6, 1, 3]


def test_a_long_cell_is_found_and_does_not_count_for_the_mean(tmp_path: Path) -> None:
    """A table cannot make the mean smaller, and cannot hide a long sentence."""
    cell = " ".join(["word"] * 40)
    found = prose.figures(texts(tmp_path, "one.md", f"Two words.\n\n| a | b |\n|---|---|\n| `x`, `y` | {cell} |\n"))

    assert found.lengths == [2]
    assert found.longest == 40


def test_an_offence_is_shown_where_it_is(tmp_path: Path) -> None:
    """A reader of the report can open the very line."""
    shown = list(prose.offences(texts(tmp_path, "one.py", '"""First.\n\nSecond, and what\nfollows.\n"""\n')))

    assert shown == [f"{tmp_path}/one.py:3: what: Second, and what"]


def test_docstrings_and_comments_are_free_of_the_habits() -> None:
    """In the whole tree the habits stay rare; `python -m tests.prose PATH` lists them."""
    found = prose.Figures()
    for path in prose.code():
        found.add(prose.figures(prose.texts_of(path)))

    assert found.words > 20_000
    assert found.what <= MOST_WHATS
    assert found.others <= MOST_OTHER_HABITS


def test_pages_have_short_sentences() -> None:
    """No page's mean and no sentence is longer than the bounds."""
    pages = {str(prose.shown(path)): prose.figures(prose.texts_of(path)) for path in prose.pages()}

    assert {name: found.mean for name, found in pages.items() if found.mean > LONGEST_MEAN} == {}
    assert {name: found.longest for name, found in pages.items() if found.longest > LONGEST_SENTENCE} == {}


def test_pages_are_free_of_the_habits() -> None:
    """README and docs have no more of the habits than the code."""
    found = prose.Figures()
    for path in prose.pages():
        found.add(prose.figures(prose.texts_of(path)))

    assert found.what <= MOST_WHATS_IN_PAGES
    assert found.others <= MOST_OTHER_HABITS_IN_PAGES
