"""The calls that Kong takes over ProtoBuf: a method's name, what it is given and what it answers.

Facts only. A name is what Kong makes of the service's: `Service_Request_SetHeaders` of the service Kong is
`kong.service.request.set_headers`. What stands here as Text is a String that is never nil.

Source: kong/include/kong/pluginsocket.proto of Kong 3.9.1; pb_rpc.lua, load_service. Kong 3.4.2 differs
in one: set_upstream answers Empty there.
"""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["METHODS"]

METHODS: Mapping[str, tuple[str, str]] = {
    "kong.client.authenticate": ("AuthenticateArgs", "Empty"),
    "kong.client.get_consumer": ("Empty", "Consumer"),
    "kong.client.get_credential": ("Empty", "AuthenticatedCredential"),
    "kong.client.get_forwarded_ip": ("Empty", "String"),
    "kong.client.get_forwarded_port": ("Empty", "Int"),
    "kong.client.get_ip": ("Empty", "String"),
    "kong.client.get_port": ("Empty", "Int"),
    "kong.client.get_protocol": ("Bool", "String"),
    "kong.client.load_consumer": ("ConsumerSpec", "Consumer"),
    "kong.ctx.shared.get": ("String", "Value"),
    "kong.ctx.shared.set": ("KV", "Empty"),
    "kong.ip.is_trusted": ("String", "Bool"),
    "kong.log.alert": ("ListValue", "Empty"),
    "kong.log.crit": ("ListValue", "Empty"),
    "kong.log.debug": ("ListValue", "Empty"),
    "kong.log.err": ("ListValue", "Empty"),
    "kong.log.info": ("ListValue", "Empty"),
    "kong.log.notice": ("ListValue", "Empty"),
    "kong.log.serialize": ("Empty", "String"),
    "kong.log.set_serialize_value": ("KV", "Empty"),
    "kong.log.warn": ("ListValue", "Empty"),
    "kong.nginx.get_ctx": ("String", "Value"),
    "kong.nginx.get_subsystem": ("Empty", "String"),
    "kong.nginx.get_tls1_version_str": ("Empty", "String"),
    "kong.nginx.get_var": ("String", "String"),
    "kong.nginx.req_start_time": ("Empty", "Number"),
    "kong.nginx.set_ctx": ("KV", "String"),
    "kong.node.get_id": ("Empty", "String"),
    "kong.node.get_memory_stats": ("Empty", "MemoryStats"),
    "kong.request.get_forwarded_host": ("Empty", "String"),
    "kong.request.get_forwarded_port": ("Empty", "Int"),
    "kong.request.get_forwarded_scheme": ("Empty", "String"),
    "kong.request.get_header": ("String", "String"),
    "kong.request.get_headers": ("Maximum", "Struct"),
    "kong.request.get_host": ("Empty", "String"),
    "kong.request.get_http_version": ("Empty", "Number"),
    "kong.request.get_method": ("Empty", "String"),
    "kong.request.get_path": ("Empty", "String"),
    "kong.request.get_path_with_query": ("Empty", "String"),
    "kong.request.get_port": ("Empty", "Int"),
    "kong.request.get_query": ("Maximum", "Struct"),
    "kong.request.get_query_arg": ("String", "String"),
    "kong.request.get_raw_body": ("Empty", "RawBodyResult"),
    "kong.request.get_raw_query": ("Empty", "Text"),
    "kong.request.get_scheme": ("Empty", "String"),
    "kong.request.get_uri_captures": ("Empty", "UriCapturesResult"),
    "kong.response.add_header": ("KV", "Empty"),
    "kong.response.clear_header": ("String", "Empty"),
    "kong.response.exit": ("ExitArgs", "Empty"),
    "kong.response.get_header": ("String", "String"),
    "kong.response.get_headers": ("Maximum", "Struct"),
    "kong.response.get_source": ("Empty", "String"),
    "kong.response.get_status": ("Empty", "Int"),
    "kong.response.set_header": ("KV", "Empty"),
    "kong.response.set_headers": ("Struct", "Empty"),
    "kong.response.set_status": ("Int", "Empty"),
    "kong.router.get_route": ("Empty", "Route"),
    "kong.router.get_service": ("Empty", "Service"),
    "kong.service.request.add_header": ("KV", "Empty"),
    "kong.service.request.clear_header": ("String", "Empty"),
    "kong.service.request.set_header": ("KV", "Empty"),
    "kong.service.request.set_headers": ("Struct", "Empty"),
    "kong.service.request.set_method": ("String", "Empty"),
    "kong.service.request.set_path": ("String", "Empty"),
    "kong.service.request.set_query": ("Struct", "Empty"),
    "kong.service.request.set_raw_body": ("ByteString", "Empty"),
    "kong.service.request.set_raw_query": ("String", "Empty"),
    "kong.service.request.set_scheme": ("String", "Empty"),
    "kong.service.response.get_header": ("String", "String"),
    "kong.service.response.get_headers": ("Maximum", "Struct"),
    "kong.service.response.get_raw_body": ("Empty", "ByteString"),
    "kong.service.response.get_status": ("Empty", "Int"),
    "kong.service.set_target": ("Target", "Empty"),
    "kong.service.set_upstream": ("String", "Bool"),
}
"""Method to argument and reply. Maximum is an Int that may be left out."""
