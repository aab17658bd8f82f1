"""Count habits that make prose hard to read, and the length of sentences.

`.venv/bin/python -m tests.prose` prints the figures of each folder. With PATH … it also lists every offending line.

Two kinds of text are read:

- Code: every docstring (any string that is a statement of its own) and every comment of a Python file.
- Pages: the paragraphs, list items and table cells of a Markdown file, without code blocks, headings and link targets.

Code in backticks counts as words (a list of names as one) and never as a habit. A sentence ends at `.`, `!` or `?`
before a space, and at the end of its paragraph, item or cell. A colon or a semicolon does not end it. The mean is taken
over paragraphs and items that end like a sentence, so that short table cells cannot improve it. The longest sentence is
looked for in cells as well.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CODE = ("pluginserver", "plugins", "devtools", "tests", "examples", "hatch_build.py")
PAGES = ("README.md", "CONTRIBUTING.md", "docs")
LONG_SENTENCE = 35
"""Words; a longer sentence is listed."""

HABITS = {
    "what": r"\bwhat\b(?!-if)",
    "who": r"\b(?:who|whoever|whose|whom)\b",
    # The language is written Go.
    "goes": r"(?<![-.])\b(?:go|goes|Goes)\b",
    "stands": r"\bstands?\b(?!-in)",
    "is none": r"\b(?:is|are|was|were|be) none\b",
    "nobody": r"\bnobody\b",
    "of ours": r"\bof ours\b",
    # "Nothing else." and its kind are plain English.
    "else": r", else\b|\b(?!(?:nothing|anything|something|everything|nowhere|one|where) )\w+ else(?=[.;:,)]|$)",
}
PATTERNS = {
    name: re.compile(pattern.replace(" ", r"\s+"), 0 if name == "goes" else re.IGNORECASE)
    for name, pattern in HABITS.items()
}
PATTERNS["is none"] = re.compile(HABITS["is none"].replace(" ", r"\s+"))  # `None` is Python's
WORD = re.compile(r"[A-Za-z0-9][\w'./:%-]*|¤+")
LETTERS = re.compile(r"[A-Za-z][\w'-]*|¤+")
CODE_LIST = re.compile(r"¤+(?:,\s+¤+)+")
CODE_SPAN = re.compile(r"(`+)[^`]+?\1")
SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)(?<!\bcf)(?<!\bvs)(?:[.!?][\"”)*_]*(?=\s|$)|:(?=\s*$))")
NO_PROSE = re.compile(r"^#\s*(?:noqa|type:|pragma|pylint|mypy:|fmt:|!|-\*-)")


@dataclass(frozen=True, slots=True)
class Text:
    """One docstring, block of comments, paragraph, list item or table cell."""

    path: Path
    line: int
    text: str
    is_cell: bool = False

    def line_at(self, offset: int) -> int:
        return self.line + self.text.count("\n", 0, offset)


@dataclass(slots=True)
class Figures:
    """Sums over some texts."""

    words: int = 0
    habits: dict[str, int] = field(default_factory=lambda: dict.fromkeys(HABITS, 0))
    lengths: list[int] = field(default_factory=list)
    """Words of each sentence that counts for the mean."""
    longest: int = 0

    def add(self, other: Figures) -> None:
        self.words += other.words
        for name, count in other.habits.items():
            self.habits[name] += count
        self.lengths += other.lengths
        self.longest = max(self.longest, other.longest)

    def per_thousand(self, *names: str) -> float:
        return 1000 * sum(self.habits[name] for name in names) / max(self.words, 1)

    @property
    def what(self) -> float:
        return self.per_thousand("what")

    @property
    def others(self) -> float:
        return self.per_thousand(*(name for name in HABITS if name != "what"))

    @property
    def mean(self) -> float:
        return sum(self.lengths) / max(len(self.lengths), 1)


def without_code(text: str) -> str:
    """Replace code in backticks by as many words, at the same offsets."""
    return CODE_SPAN.sub(lambda span: re.sub(r"\S", "¤", span[0]), text)


def sentences(text: str) -> Iterator[tuple[int, str]]:
    """Yield each sentence with its offset."""
    begin = 0
    for end in SENTENCE_END.finditer(text):
        yield begin, text[begin : end.end()]
        begin = end.end()
    if text[begin:].strip():
        yield begin, text[begin:]


def length(sentence: str) -> int:
    """Count the words; a list of names in backticks is read as one."""
    return len(WORD.findall(CODE_LIST.sub("¤", sentence)))


def figures(texts: Iterable[Text]) -> Figures:
    found = Figures()
    for one in texts:
        plain = without_code(one.text)
        found.words += len(LETTERS.findall(plain))
        for name, pattern in PATTERNS.items():
            found.habits[name] += len(pattern.findall(plain))
        for _, sentence in sentences(plain):
            words = length(sentence)
            found.longest = max(found.longest, words)
            if words and not one.is_cell and SENTENCE_END.search(sentence):
                found.lengths.append(words)
    return found


def offences(texts: Iterable[Text]) -> Iterator[str]:
    """Describe each habit and each long sentence, as `file:line: habit: text`."""
    for one in texts:
        plain = without_code(one.text)
        found = [(match.start(), name) for name, pattern in PATTERNS.items() for match in pattern.finditer(plain)]
        for begin, sentence in sentences(plain):
            if (words := length(sentence)) > LONG_SENTENCE:
                found.append((begin + len(sentence) - len(sentence.lstrip()), f"{words} words"))
        for offset, name in sorted(found):
            line = one.text[one.text.rfind("\n", 0, offset) + 1 :].partition("\n")[0].strip()
            yield f"{shown(one.path)}:{one.line_at(offset)}: {name}: {line}"


def shown(path: Path) -> Path:
    return path.relative_to(ROOT) if path.is_relative_to(ROOT) else path


def texts_of(path: Path) -> list[Text]:
    source = path.read_text()
    return list(_of_page(path, source) if path.suffix == ".md" else _of_code(path, source))


def _of_code(path: Path, source: str) -> Iterator[Text]:
    lines = source.splitlines()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            literal = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            yield Text(path, node.lineno, literal.replace('"""', "   "))
    block: list[str] = []
    begin = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or NO_PROSE.match(token.string):
            continue
        number, text = token.start[0], token.string.lstrip("#:").strip()
        is_alone = lines[number - 1].lstrip().startswith("#")
        if block and (not is_alone or number != begin + len(block)):
            yield Text(path, begin, "\n".join(block))
            block = []
        begin = begin if block else number
        block.append(text)
        if not is_alone:
            yield Text(path, begin, "\n".join(block))
            block = []
    if block:
        yield Text(path, begin, "\n".join(block))


def _of_page(path: Path, source: str) -> Iterator[Text]:
    source = re.sub(r"<!--.*?-->", lambda it: re.sub(r"[^\n]", " ", it[0]), source, flags=re.DOTALL)
    source = re.sub(r"!?\[([^\]]*)\]\(([^)\s]*)\)", r"\1", source)
    held: list[str] = []
    begin = 0
    fenced = indented = False
    for number, line in enumerate([*source.splitlines(), ""], 1):
        is_fence = line.lstrip().startswith("```")
        fenced ^= is_fence
        # Four spaces begin code after an empty line, unless they continue a list item.
        indented = line.startswith("    ") and (indented or not held)
        is_item = re.match(r"\s*(?:[-*+]|\d+\.)\s", line) is not None
        is_text = not (fenced or is_fence or indented) and line.strip() != "" and not line.startswith(("#", "|"))
        if held and (is_item or not is_text):
            yield Text(path, begin, "\n".join(held))
            held = []
        if is_text:
            begin = begin if held else number
            held.append(re.sub(r"^(\s*)(?:[-*+>]|\d+\.)\s", r"\1  ", line))
        elif line.startswith("|") and not fenced and not re.fullmatch(r"[|\s:-]+", line):
            cells = re.split(r"(?<!\\)\|", line.strip().strip("|"))
            yield from (Text(path, number, cell, is_cell=True) for cell in cells if cell.strip())


def files(path: Path) -> list[Path]:
    """List a folder's Python files and pages, or the one file."""
    if path.is_file():
        return [path]
    found = [one for suffix in ("py", "md") for one in path.rglob(f"*.{suffix}")]
    return sorted(one for one in found if not {".venv", "__pycache__", "testdata"} & set(one.parts) and is_written(one))


def is_written(path: Path) -> bool:
    """Tell whether people wrote the file, and not protoc."""
    return not path.name.endswith(("_pb2.py", "_pb2_grpc.py"))


def code(root: Path = ROOT) -> list[Path]:
    return [one for name in CODE for one in files(root / name) if one.suffix == ".py"]


def pages(root: Path = ROOT) -> list[Path]:
    return [one for name in PAGES for one in files(root / name) if one.suffix == ".md"]


def _row(name: str, it: Figures) -> str:
    return f"{name:62} {it.words:7} {it.what:6.2f} {it.others:7.2f} {it.mean:6.1f} {it.longest:8}"


def main(arguments: list[str]) -> int:
    paths = [one.resolve() for argument in arguments for one in files(Path(argument))] or [*code(), *pages()]
    sums: dict[str, Figures] = {}
    total = {".py": Figures(), ".md": Figures()}
    for path in paths:
        texts = texts_of(path)
        if arguments:
            print(*offences(texts), sep="\n", end="\n" if any(offences(texts)) else "")
        one = figures(texts)
        name = shown(path if path.suffix == ".md" else path.parent)
        sums.setdefault(str(name), Figures()).add(one)
        total[path.suffix].add(one)
    print(f"\n{'':62}   words   what  others   mean  longest\n{'':62}         of 1,000 words  words a sentence")
    for folder, sum_ in sums.items():
        print(_row(folder, sum_))
    print(_row("docstrings and comments", total[".py"]), _row("pages", total[".md"]), sep="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
