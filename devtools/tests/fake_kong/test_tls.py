"""A request over TLS through the stand-in Kong."""

from __future__ import annotations

import datetime
import ipaddress
import json
import ssl
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from http2_client import Http2Client
from scripted_plugin_server import ScriptedPlugin


async def test_over_tls_alpn_settles_the_version(bench: Any, tmp_path: Path) -> None:
    """A client that chose h2 is served HTTP/2, the record says how it was encrypted, and the upstream knows."""
    certificate = _certificate(tmp_path / "cert.pem")
    serving = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    serving.load_cert_chain(certificate)
    serving.set_alpn_protocols(["h2", "http/1.1"])
    asking = ssl.create_default_context(cafile=str(certificate))
    asking.set_alpn_protocols(["h2"])
    plugin = ScriptedPlugin({"access": [], "log": [("kong.log.serialize", [])]})
    async with bench(plugin, tls=serving) as running, Http2Client(running.gateway.url, asking) as client:
        head, _ = await client.fetch("/api/x")
        await running.server.wait_for(lambda _server: bool(plugin.results["log"]))
    request = json.loads(plugin.results["log"][0][1])["request"]

    assert head.get(":status") == "200"
    assert (request["tls"]["version"], request["tls"]["client_verify"]) == ("TLSv1.3", "NONE")
    assert request["url"].startswith("https://127.0.0.1:")
    assert running.upstream.calls[0].headers.get("x-forwarded-proto") == "https"


def _certificate(path: Path) -> Path:
    """Write a key and a certificate for 127.0.0.1 that signs itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "stand-in")])
    now = datetime.datetime.now(datetime.timezone.utc)
    address = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))])
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(
        now + datetime.timedelta(days=1)
    )
    signed = builder.add_extension(address, critical=False).sign(key, hashes.SHA256())
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path
