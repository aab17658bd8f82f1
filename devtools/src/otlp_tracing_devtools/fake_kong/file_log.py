"""The bundled plugin file-log: a line for each request, the log record as JSON.

The file is opened for every line, as Kong does with `reopen`. `custom_fields_by_lua` is refused: there is no Lua here.

Source: kong/plugins/file-log/handler.lua and schema.lua of Kong 3.9.1.
"""

from __future__ import annotations

import logging
import os

from otlp_tracing.config.validation import FieldList
from otlp_tracing_devtools.fake_kong.context import RequestContext
from otlp_tracing_devtools.fake_kong.plugin_chain import ConfiguredPlugin

_log = logging.getLogger("otlp_tracing_devtools.fake_kong.plugins")

_MODE = 0o644

FILE_LOG_FIELDS: FieldList = [
    {"path": {"type": "string", "required": True, "match": "^[^*&%`]+$", "err": "not a valid filename"}},
    {"reopen": {"type": "boolean", "required": True, "default": False}},
]


class FileLog:
    """Writes the result of `kong.log.serialize()`."""

    async def run(self, phase: str, context: RequestContext, plugin: ConfiguredPlugin) -> None:  # noqa: ARG002
        """Append a line; one write, so that lines of several workers do not mix."""
        path = plugin.config["path"]
        try:
            file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, _MODE)
        except OSError as error:
            _log.error("[file-log] failed to open the file: %s", error.strerror)
            return
        try:
            os.write(file, context.record + b"\n")
        finally:
            os.close(file)
