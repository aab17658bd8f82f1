"""The fields of `config` in Kong's schema language; settings.py declares them."""

from __future__ import annotations

from otlp_tracing.config.declaration import Field, fields_of
from otlp_tracing.config.settings import Settings

SCHEMA: list[Field] = fields_of(Settings)
