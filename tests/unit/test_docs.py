"""The documents agree with the code. `UPDATE_DOCS=1 make test` writes the tables again."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from checkout import CHECKOUT
from documented_commands import SHOWN, commands_of, documents, shipped
from documents import hold
from otlp_tracing.config.schema import SCHEMA
from otlp_tracing.metrics import METRICS


def option_table() -> str:
    rows = ["| field | default | allowed | effect |", "|---|---|---|---|"]
    for path, field in leaves(SCHEMA):
        rows.append(f"| `{path}` | {default(field)} | {allowed(field)} | {cell(field['description'])} |")
    return "\n".join(rows)


def leaves(fields: Any, prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for one in fields:
        for name, field in one.items():
            if field["type"] == "record":
                yield from leaves(field["fields"], f"{prefix}{name}.")
            else:
                yield f"{prefix}{name}", field


def default(field: dict[str, Any]) -> str:
    value = field.get("default")
    if value is None:
        return "unset"
    if isinstance(value, list):
        return ", ".join(f"`{item}`" for item in value) or "none"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def allowed(field: dict[str, Any]) -> str:
    rules = {**field, **{k: v for k, v in field.get("elements", {}).items() if k in {"one_of", "between"}}}
    if "one_of" in rules:
        return ", ".join(f"`{item}`" for item in rules["one_of"])
    if "between" in rules:
        return "{} to {}".format(*rules["between"])
    if field["type"] == "array":
        inner = field["elements"]
        if inner["type"] == "record":
            return "list of {" + ", ".join(name for one in inner["fields"] for name in one) + "}"
        return "list"
    return str(field["type"])


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def metric_table() -> str:
    rows = ["| metric | kind | labels | meaning |", "|---|---|---|---|"]
    rows += [
        f"| `{metric.name}` | {metric.kind} | {', '.join(metric.labels) or '—'} | {cell(metric.help)} |"
        for metric in METRICS
    ]
    return "\n".join(rows)


def fault_table() -> str:
    rows = []
    for path in sorted((CHECKOUT / "tests" / "faults" / "delivery").glob("test_*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
                promise = " ".join((ast.get_docstring(node) or "").partition("\n\n")[0].split())
                number, colon, text = promise.removeprefix("Fault ").partition(": ")
                is_numbered = bool(colon) and number.isdecimal()
                sentence = (text[0].upper() + text[1:]) if is_numbered else promise
                rows.append((int(number) if is_numbered else 99, path.stem, sentence))
    shown = [f"| {'—' if n == 99 else n} | {cell(sentence)} | `{stem}` |" for n, stem, sentence in sorted(rows)]
    return "\n".join(["| fault | promise | module |", "|---|---|---|", *shown])


def test_the_options_are_documented_as_they_are() -> None:
    """Every field, its default, its range and its description are those of the schema that Kong shows."""
    hold(CHECKOUT / "docs" / "configuration.md", "options", option_table())


def test_the_metrics_are_documented_as_they_are() -> None:
    """Every metric is in the table that operators read."""
    hold(CHECKOUT / "docs" / "metrics.md", "metrics", metric_table())


def test_the_faults_are_documented_as_they_are_tested() -> None:
    """Every fault that delivery is tested with is in the table, with the promise of its test."""
    hold(CHECKOUT / "docs" / "faults.md", "faults", fault_table())


def test_every_command_in_the_documents_is_shown() -> None:
    """A command that is new in a document, or changed, is entered with how it is shown; one that is gone is not."""
    found = {command: path.name for path in [*documents(), *shipped()] for command in commands_of(path)}

    where = "to be entered in tests/testdata/documented_commands.yaml, or to be taken out there"
    assert {command: name for command, name in found.items() if command not in SHOWN} == {}, where
    assert [command for command in SHOWN if command not in found] == [], where


def links(page: Path) -> Iterator[str]:
    prose = re.sub(r"^```.*?^```|`[^`\n]*`", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    yield from (target for target in re.findall(r"\]\(([^)\s]+)\)", prose) if "://" not in target)


def anchors(page: Path) -> set[str]:
    """Headings as GitHub makes anchors of them."""
    headings = re.findall(r"^#+ +(.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_link_leads_somewhere() -> None:
    """A page or a heading that a document links to is there."""
    lost = []
    for page in documents():
        for link in links(page):
            path, _, anchor = link.partition("#")
            target = (page.parent / path).resolve() if path else page
            if not target.exists() or (anchor and anchor not in anchors(target)):
                lost.append(f"{page.relative_to(CHECKOUT)}: {link}")

    assert lost == []


def test_every_file_that_a_document_names_is_there() -> None:
    """A path in a document is one of the checkout."""
    folders = "devtools|docs|examples|kong|plugins|pluginserver|tests"
    lost = []
    for page in documents():
        text = page.read_text()
        for path in re.findall(rf"`((?:{folders})/[\w./*-]+)`", text):
            # Secrets are the reader's own files.
            if not path.startswith("kong/secrets/") and not any(CHECKOUT.glob(path.rstrip("/"))):
                lost.append(f"{page.relative_to(CHECKOUT)}: {path}")

    assert lost == []


def test_every_file_that_a_target_runs_is_there() -> None:
    """A path below tests/ or devtools/ in the Makefile or in CI's script is one of the checkout."""
    named = {
        path.rstrip("./")
        for script in ("Makefile", ".ci/run")
        for path in re.findall(r"(?<![\w/.])(?:tests|devtools)/[\w./-]+", (CHECKOUT / script).read_text())
    }

    assert named
    assert [path for path in sorted(named) if not (CHECKOUT / path).exists()] == []


def test_every_place_that_contributing_names_is_there() -> None:
    """A folder or module in the tables of CONTRIBUTING.md is one of the package or of the checkout."""
    rows = [line for line in (CHECKOUT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| ")]
    named = {path for row in rows for path in re.findall(r"`([\w./]+(?:/|\.py))`", row)}
    roots = (CHECKOUT, CHECKOUT / "pluginserver" / "otlp_tracing")

    assert len(named) > 20
    assert [path for path in sorted(named) if not any([*roots[0].glob(path), *roots[1].rglob(path)])] == []


def test_the_readme_shows_the_two_commands_first() -> None:
    """A reader sees how to run and how to test the project before anything has to be scrolled."""
    beginning = (CHECKOUT / "README.md").read_text().splitlines()[:12]

    assert [line.split("#")[0].strip() for line in beginning if line.startswith("    ")] == ["make demo", "make test"]


def test_every_page_is_linked_from_the_readme() -> None:
    """A reader of the README finds every page."""
    linked = {(CHECKOUT / link.partition("#")[0]).resolve() for link in links(CHECKOUT / "README.md")}

    assert set((CHECKOUT / "docs").glob("*.md")) - linked == set()


def test_each_row_of_the_comparison_names_a_file_of_tests() -> None:
    """Each claim about otlp-tracing is shown by a file that runs, not by a folder or by data."""
    rows = comparison(CHECKOUT / "docs" / "comparison.md")
    shown = {name: re.findall(r"\]\(\.\./(tests/[^)]+\.py)\)", row[-1]) for name, row in rows.items()}

    assert [name for name, tests in shown.items() if not tests] == []


def test_the_comparison_shows_where_others_have_more() -> None:
    """The second table has only features that another gateway has and otlp-tracing lacks, or has in part."""
    page = (CHECKOUT / "docs" / "comparison.md").read_text()
    lacking = [line.strip("| ").split(" | ") for line in page.splitlines() if line.count(" | ") == 8][1:]

    assert len(lacking) >= 15
    assert [name for name, *_, ours in lacking if not ours.startswith(("✘", "◐"))] == []
    assert [name for name, *others, _ in lacking if not any(cell.startswith("✔") for cell in others)] == []


def test_every_decision_has_a_number_of_its_own_and_is_in_the_index() -> None:
    """Numbers count up without a gap, file and title agree, the index has each, and a record is one page."""
    folder = CHECKOUT / "docs" / "decisions"
    titles = {path: path.read_text().partition("\n")[0].removeprefix("# ") for path in sorted(folder.glob("0*.md"))}
    numbers = list(range(1, len(titles) + 1))

    assert [int(path.name[:4]) for path in titles] == numbers
    assert [int(title.partition(".")[0]) for title in titles.values()] == numbers
    assert [path.name for path in titles if len(path.read_text().splitlines()) > 50] == []
    rows = ((*title.partition(". "), path.name) for path, title in titles.items())
    hold(folder / "README.md", "records", "\n".join(f"{number}. [{title}]({name})" for number, _, title, name in rows))


def comparison(page: Path) -> dict[str, list[str]]:
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines() if line.count(" | ") == 7]
    return {name.strip(): [one.strip() for one in row] for name, *row in rows if name != "Kong opentelemetry"}


def files(folder: Path) -> Iterator[Path]:
    """List the checkout without the files of git and of tools; in a worktree `.git` is a file."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            if path.name not in {"__pycache__", "dist"} and (not path.name.startswith(".") or path.name == ".ci"):
                yield from files(path)
        elif path.is_file() and path.name != ".git" and path.suffix not in {".pyc", ".so", ".png"}:
            yield path


def test_the_repository_names_no_place_of_one_machine() -> None:
    """A stranger's checkout has another path, and packages come from the default places of pip and Go."""
    machines = (
        "/root" + "/",
        "/work" + "/",
        "/opt" + "/kong",
        "/opt" + "/wheels",
        "--index-url" + " ",
        "--find-links" + " ",
    )
    found = {
        str(path.relative_to(CHECKOUT)): [place for place in machines if place in text]
        for path in files(CHECKOUT)
        if any(place in (text := path.read_text(errors="ignore")) for place in machines)
    }

    assert found == {}
