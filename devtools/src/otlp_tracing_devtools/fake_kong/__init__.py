"""A stand-in Kong that plays 3.9.1 or 3.4.2: a double for demos and tests, not a gateway.

It reads a declarative kong.yml, routes, balances and proxies HTTP and gRPC, and runs external plugins over MessagePack
or ProtoBuf as Kong does. It follows Kong phase by phase, down to the bytes it sends and the places where it throws.
Clients speak HTTP/1.1 or HTTP/2, the latter in cleartext with prior knowledge too. Start one with `FakeKong`, or
with `python -m otlp_tracing_devtools.fake_kong`.

Left out: several workers, the Admin API, `kong reload`, health checks, upstream keep-alive, HTML and XML error pages.
Of the bundled plugins it has key-auth, rate-limiting, request-termination, file-log and prometheus. Of the PDK it has
the calls that otlp-tracing, the recordings and the tests make.
"""

from otlp_tracing_devtools.fake_kong.declaration import parse_declaration, read_declaration
from otlp_tracing_devtools.fake_kong.entities import Declaration
from otlp_tracing_devtools.fake_kong.gateway import FakeKong
from otlp_tracing_devtools.fake_kong.plugin_description import PluginServerCommands

__all__ = ["Declaration", "FakeKong", "PluginServerCommands", "parse_declaration", "read_declaration"]
