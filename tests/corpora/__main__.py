"""`python -m tests.corpora`: write the corpora of tests/testdata/redaction/ again, with the tools they come from.

Needs Go and the network. Random parts of the samples differ from run to run. The tests use the committed samples.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from html import unescape
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # as pytest's pythonpath has it

from corpora.stored import FOLDER, Corpus, Kind

HERE = Path(__file__).parent
GITLEAKS = "github.com/zricethezav/gitleaks/v8"
PYTHON_TOOLS = {"detect-secrets": "1.5.0", "Faker": "40.54.0", "rstr": "3.2.2"}
# Names of modules, and the licence each is under; the last published versions of both.
PAGES = ("github.com/go-shiori/go-readability", "v0.0.0-20251205110129-5db1dc9836f0")
AGENTS = ("github.com/mssola/useragent", "v1.0.0")
MOST_SECRETS, MOST_TEXTS, MOST_URLS = 6, 4, 2_000


def main() -> None:
    """Write every corpus."""
    FOLDER.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        for corpus in (*_lists(Path(folder)), _gitleaks(Path(folder)), *_python_tools(Path(folder))):
            corpus.write()
            print(corpus.path)


def _gitleaks(folder: Path) -> Corpus:
    for name in ("go.mod", "tools.go"):
        (folder / name).write_bytes((HERE / "gitleaks" / name).read_bytes())
    _run(folder, "go", "mod", "tidy")
    _run(folder, "go", "mod", "vendor")
    replaced = folder / "vendor" / GITLEAKS / "cmd/generate/config/utils/validate.go"
    overlay = folder / "overlay.json"
    overlay.write_text(json.dumps({"Replace": {str(replaced): str(HERE / "gitleaks" / "samples.go.txt")}}))
    # After the samples it wants to write gitleaks.toml by a template that is elsewhere, and ends with an error.
    command = ["go", "run", "-mod=vendor", "-overlay", str(overlay), f"{GITLEAKS}/cmd/generate/config", "/dev/null"]
    samples = subprocess.run(command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False).stdout
    kinds: dict[str, Kind] = {}
    for sample in map(json.loads, samples.splitlines()):
        _add(kinds.setdefault(sample["rule"], Kind()), sample)
    version = re.search(rf"{GITLEAKS} (\S+)", (folder / "go.mod").read_text())
    assert version
    return Corpus("gitleaks", f"https://{GITLEAKS}, cmd/generate/config/rules", version[1], "MIT", kinds)


def _add(kind: Kind, sample: Mapping[str, Any]) -> None:
    text, secrets = sample["text"], [*sample["alone"], *sample["named"]]
    if not sample["positive"]:
        (kind.public if sample["public"] else kind.negatives).append(text)
        return
    kind.secrets = list(dict.fromkeys([*kind.secrets, *sample["alone"]]))[:MOST_SECRETS]
    kind.named = list(dict.fromkeys([*kind.named, *sample["named"]]))[:MOST_SECRETS]
    if len(kind.texts) < MOST_TEXTS and secrets and text != secrets[0]:
        kind.texts.append((text, secrets[0]))


def _python_tools(folder: Path) -> Iterable[Corpus]:
    _run(folder, sys.executable, "-m", "venv", "tools")
    python = str(folder / "tools" / "bin" / "python")
    wanted = [f"{name}=={version}" for name, version in PYTHON_TOOLS.items()]
    _run(folder, python, "-m", "pip", "install", "--quiet", *wanted)
    for script, name, source, licence in (
        ("detect_secrets_samples.py", "detect-secrets", "https://pypi.org/project/detect-secrets/", "Apache-2.0"),
        ("faker_samples.py", "faker", "https://pypi.org/project/Faker/", "MIT"),
    ):
        made = json.loads(_run(folder, python, str(HERE / script)))
        kinds = {kind: Kind(**samples) for kind, samples in made.items()}
        version = PYTHON_TOOLS["Faker" if name == "faker" else name]
        yield Corpus(name, source, version, licence, kinds)


def _lists(folder: Path) -> Iterable[Corpus]:
    """Yield ordinary URLs, those that real pages link to, and user agents."""
    pages = _module(folder, *PAGES)
    links = re.compile(r"""(?:href|src)=["'](https?://[^"'\s<>]{12,300})["']""")
    urls = {unescape(url) for page in pages.glob("test-pages/*/source.html") for url in links.findall(page.read_text())}
    ordered = sorted(urls)
    chosen = ordered[:: -(-len(ordered) // MOST_URLS)]
    yield Corpus(
        "urls",
        f"https://{PAGES[0]}, links of the pages in test-pages",
        PAGES[1],
        "facts",
        {"url": Kind(negatives=chosen)},
    )
    text = (_module(folder, *AGENTS) / "all_test.go").read_text()
    agents = list(dict.fromkeys(json.loads(f'"{one}"') for one in re.findall(r'ua:\s*"((?:[^"\\]|\\.)*)"', text)))
    yield Corpus(
        "user-agents", f"https://{AGENTS[0]}, all_test.go", AGENTS[1], "MIT", {"user agent": Kind(negatives=agents)}
    )


def _module(folder: Path, name: str, version: str) -> Path:
    return Path(json.loads(_run(folder, "go", "mod", "download", "-json", f"{name}@{version}"))["Dir"])


def _run(folder: Path, *command: str) -> str:
    return subprocess.run(command, cwd=folder, check=True, stdout=subprocess.PIPE, text=True).stdout


if __name__ == "__main__":
    main()
