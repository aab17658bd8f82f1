"""Sampling rules as pasted by a person: YAML or JSON, alone or inside an entry of a kong.yml."""

from __future__ import annotations

from typing import Any

import yaml

from otlp_tracing.config.settings import Sampling, Settings
from otlp_tracing.errors import ConfigError, Fault

_LONGEST = 16 << 10  # characters; the parser takes a second for a megabyte


class _PlainLoader(yaml.SafeLoader):
    """YAML without aliases: ten lines of aliases can expand to a billion."""

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise ConfigError([Fault("rules", "", "must not use YAML aliases (*)")])
        return super().compose_node(parent, index)


def parse_sampling(text: str) -> Sampling:
    """Parse `sampling`, or a plugin entry or a `config` that holds it.

    Raises:
        ConfigError: with all faults.
    """
    if len(text) > _LONGEST:
        raise ConfigError([Fault("rules", "", f"must be {_LONGEST} characters or fewer")])
    try:
        document = yaml.load(text, _PlainLoader)  # noqa: S506  # a SafeLoader, see above
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise ConfigError([Fault("rules", "", f"cannot be read as YAML: {_sentence(error)}")]) from error
    for name in ("config", "sampling"):
        if isinstance(document, dict) and isinstance(document.get(name), dict):
            document = document[name]
    if not isinstance(document, dict):
        raise ConfigError([Fault("rules", "", "must be the content of `sampling:`, such as `rate: 0.1`")])
    return Settings.from_config({"sampling": document}).sampling


def _sentence(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None)
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    return place + str(getattr(error, "problem", None) or error).splitlines()[0][:200]
