"""The corpora as stored in tests/testdata/redaction/.

Every sample is written backwards in base64, because these strings look like secrets by design. Forges and scanners
that guard repositories would stop a push for them, or revoke a string that they think is a real secret.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass, field
from pathlib import Path

from checkout import TESTDATA

_PLAIN = ("secrets", "named", "negatives", "public")
FOLDER = TESTDATA / "redaction"


@dataclass
class Kind:
    """Samples of one kind.

    Args:
        secrets: those that the tool finds without a text around them: their form gives them away.
        named: the others; the tool needs a name before them.
        texts: those in which the tool found one, with that one.
        negatives: texts in which it finds nothing.
        public: negatives by their value only: keys of the right form, known to be published on purpose.
    """

    secrets: list[str] = field(default_factory=list)
    named: list[str] = field(default_factory=list)
    texts: list[tuple[str, str]] = field(default_factory=list)
    negatives: list[str] = field(default_factory=list)
    public: list[str] = field(default_factory=list)


@dataclass
class Corpus:
    """A tool's samples, with where they come from."""

    name: str
    source: str
    version: str
    licence: str
    kinds: dict[str, Kind]

    @property
    def path(self) -> Path:
        """Where it lies."""
        return FOLDER / f"{self.name}.json"

    @classmethod
    def read(cls, name: str) -> Corpus:
        """Read one."""
        stored = json.loads((FOLDER / f"{name}.json").read_text())
        kinds = {
            kind: Kind(
                texts=[(_decoded(text), _decoded(secret)) for text, secret in samples["texts"]],
                **{part: [_decoded(one) for one in samples[part]] for part in _PLAIN},
            )
            for kind, samples in stored["kinds"].items()
        }
        return cls(stored["name"], stored["source"], stored["version"], stored["licence"], kinds)

    def write(self) -> None:
        """Write it, a kind a line."""
        about = {"name": self.name, "source": self.source, "version": self.version, "licence": self.licence}
        lines = [
            f" {json.dumps(kind)}: " + json.dumps({
                "texts": [[_encoded(text), _encoded(secret)] for text, secret in samples.texts],
                **{part: [_encoded(one) for one in getattr(samples, part)] for part in _PLAIN},
            })
            for kind, samples in sorted(self.kinds.items())
        ]  # fmt: skip
        self.path.write_text(json.dumps(about)[:-1] + ', "kinds": {\n' + ",\n".join(lines) + "\n}}\n")


def _encoded(text: str) -> str:
    return base64.b64encode(text.encode()).decode()[::-1]


def _decoded(text: str) -> str:
    return base64.b64decode(text[::-1]).decode()
