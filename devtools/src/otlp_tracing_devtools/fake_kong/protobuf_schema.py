"""Kong's ProtoBuf messages and calls, declared to google.protobuf when this module is loaded.

Facts only; knows no socket and no values. Every text is declared as bytes, which is the same on the wire: Kong puts
any byte into one, and google.protobuf's strings accept UTF-8 only. So are the three of its own messages that hold any
value.

Source: kong/include/kong/pluginsocket.proto of Kong 3.9.1; google/protobuf/struct.proto; pb_rpc.lua, load_service.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf.descriptor_pb2 import DescriptorProto, FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "kong_plugin_protocol"

# name type number; `*` repeated, `|` one of them; map<V> a map from texts.
_FIELDS = {
    "Empty": "",
    "Struct": "fields map<Value> 1",
    "ListValue": "values *Value 1",
    "Value": "null_value |int32 1, number_value |double 2, string_value |text 3, bool_value |bool 4, "
    "struct_value |Struct 5, list_value |ListValue 6",
    "CmdGetPluginNames": "",
    "CmdGetPluginInfo": "name text 1",
    "CmdStartInstance": "name text 1, config text 2",
    "CmdGetInstanceStatus": "instance_id int32 1",
    "CmdCloseInstance": "instance_id int32 1",
    "CmdHandleEvent": "instance_id int32 1, event_name text 2",
    "RpcCall": "sequence int64 1, cmd_get_plugin_names |CmdGetPluginNames 31, "
    "cmd_get_plugin_info |CmdGetPluginInfo 32, cmd_start_instance |CmdStartInstance 33, "
    "cmd_get_instance_status |CmdGetInstanceStatus 34, cmd_close_instance |CmdCloseInstance 35, "
    "cmd_handle_event |CmdHandleEvent 36",
    "PluginNames": "names *text 1",
    "PluginInfo": "name text 1, updated_at int64 2, loaded_at int64 3, phases *text 4, version text 5, "
    "priority int32 6, schema text 7",
    "InstanceStatus": "name text 1, instance_id int32 2, config Value 3, started_at int64 4",
    "RpcReturn": "sequence int64 1, plugin_names |PluginNames 31, plugin_info |PluginInfo 32, "
    "instance_status |InstanceStatus 33",
    "KV": "k text 1, v Value 2",
    "Bool": "v bool 1",
    "Int": "v int32 1",
    "Number": "v double 1",
    "String": "v text 1",
    "ByteString": "v text 1",
    "ExitArgs": "status int32 1, body text 2, headers Struct 3",
    "ServiceKey": "id text 1",
    "CertificateKey": "id text 1",
    "RawBodyResult": "content |text 1, body_filepath |text 2, error |text 3",
    "UriCapturesResult": "unnamed *text 1, named map<text> 2",
    "Route": "id text 1, created_at int64 2, updated_at int64 3, name text 4, protocols *text 5, methods *text 6, "
    "hosts *text 7, paths *text 8, headers *text 9, https_redirect_status_code int32 10, regex_priority int32 11, "
    "strip_path bool 12, preserve_host bool 13, snis *text 14, sources *text 15, destinations *text 16, "
    "tags *text 17, service ServiceKey 18",
    "Service": "id text 1, created_at int64 2, updated_at int64 3, name text 4, retries int32 5, protocol text 6, "
    "host text 7, port int32 8, path text 9, connect_timeout int32 10, write_timeout int32 11, "
    "read_timeout int32 12, tags *text 13, client_certificate CertificateKey 14",
    "Target": "host text 1, port int32 2",
    "ConsumerSpec": "id text 1, by_username bool 2",
    "Consumer": "id text 1, created_at int64 2, username text 3, custom_id text 4, tags *text 5",
    "AuthenticatedCredential": "id text 1, consumer_id text 2",
    "AuthenticateArgs": "consumer Consumer 1, credential AuthenticatedCredential 2",
    "DictStats": "allocated_slabs int64 1, capacity int64 2",
    "LuaSharedDicts": "kong DictStats 1, kong_db_cache DictStats 2",
    "WorkerLuaVm": "http_allocated_gc int64 1, pid int64 2",
    "MemoryStats": "lua_shared_dicts LuaSharedDicts 1, workers_lua_vms *WorkerLuaVm 2",
}

# Argument and reply, and every call of that kind.
_CALLS = {
    "Empty String": "Client_GetIp Client_GetForwardedIp Log_Serialize Nginx_GetTls1VersionStr Nginx_GetSubsystem "
    "Node_GetId Request_GetScheme Request_GetHost Request_GetForwardedScheme Request_GetForwardedHost "
    "Request_GetMethod Request_GetPath Request_GetPathWithQuery Request_GetRawQuery Response_GetSource",
    "Empty Int": "Client_GetPort Client_GetForwardedPort Request_GetPort Request_GetForwardedPort "
    "Response_GetStatus Service_Response_GetStatus",
    "Empty Number": "Nginx_ReqStartTime Request_GetHttpVersion",
    "Empty AuthenticatedCredential": "Client_GetCredential",
    "Empty Consumer": "Client_GetConsumer",
    "Empty MemoryStats": "Node_GetMemoryStats",
    "Empty RawBodyResult": "Request_GetRawBody",
    "Empty UriCapturesResult": "Request_GetUriCaptures",
    "Empty Route": "Router_GetRoute",
    "Empty Service": "Router_GetService",
    "Empty ByteString": "Service_Response_GetRawBody",
    "ConsumerSpec Consumer": "Client_LoadConsumer",
    "AuthenticateArgs Empty": "Client_Authenticate",
    "Bool String": "Client_GetProtocol",
    "String Bool": "Ip_IsTrusted Service_SetUpstream",
    "String String": "Nginx_GetVar Request_GetQueryArg Request_GetHeader Response_GetHeader Service_Response_GetHeader",
    "String Value": "Nginx_GetCtx kong.ctx.shared.get",
    "String Empty": "Response_ClearHeader Service_Request_SetScheme Service_Request_SetPath "
    "Service_Request_SetRawQuery Service_Request_SetMethod Service_Request_ClearHeader",
    "Int Struct": "Request_GetQuery Request_GetHeaders Response_GetHeaders Service_Response_GetHeaders",
    "Int Empty": "Response_SetStatus",
    "KV String": "Nginx_SetCtx",
    "KV Empty": "Log_SetSerializeValue Response_SetHeader Response_AddHeader Service_Request_SetHeader "
    "Service_Request_AddHeader kong.ctx.shared.set",
    "ListValue Empty": "Log_Alert Log_Crit Log_Err Log_Warn Log_Notice Log_Info Log_Debug",
    "Struct Empty": "Response_SetHeaders Service_Request_SetQuery Service_Request_SetHeaders",
    "ExitArgs Empty": "Response_Exit",
    "Target Empty": "Service_SetTarget",
    "ByteString Empty": "Service_Request_SetRawBody",
}

_TYPES = {
    "text": FieldDescriptorProto.TYPE_BYTES,
    "bool": FieldDescriptorProto.TYPE_BOOL,
    "int32": FieldDescriptorProto.TYPE_INT32,
    "int64": FieldDescriptorProto.TYPE_INT64,
    "double": FieldDescriptorProto.TYPE_DOUBLE,
}


def _declare(file: FileDescriptorProto, name: str, fields: str) -> None:
    message = file.message_type.add(name=name)
    if "|" in fields:
        message.oneof_decl.add(name="kind")
    for text in filter(None, fields.split(", ")):
        field_name, kind, number = text.split()
        field = message.field.add(name=field_name, number=int(number), label=FieldDescriptorProto.LABEL_OPTIONAL)
        if kind.startswith("map<"):
            kind = "*" + _declare_entry(message, field_name, kind[4:-1])
        elif kind.startswith("|"):
            field.oneof_index = 0
        if kind.startswith("*"):
            field.label = FieldDescriptorProto.LABEL_REPEATED
        _set_type(field, kind.lstrip("*|"))


def _declare_entry(message: DescriptorProto, field_name: str, value_kind: str) -> str:
    """Declare the content of a map. On the wire a map is a repeated message; a map proper takes no bytes for keys."""
    entry = message.nested_type.add(name=f"{field_name.title()}Entry")
    label = FieldDescriptorProto.LABEL_OPTIONAL
    _set_type(entry.field.add(name="key", number=1, label=label), "text")
    _set_type(entry.field.add(name="value", number=2, label=label), value_kind)
    return f"{message.name}.{entry.name}"


def _set_type(field: FieldDescriptorProto, kind: str) -> None:
    if kind in _TYPES:
        field.type = _TYPES[kind]
    else:
        field.type, field.type_name = FieldDescriptorProto.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


def _messages() -> dict[str, type[Message]]:
    file = FileDescriptorProto(name="kong/pluginsocket.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _FIELDS.items():
        _declare(file, name, fields)
    pool = DescriptorPool()
    pool.Add(file)
    return {name: GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")) for name in _FIELDS}


def _method(name: str) -> str:
    """Name a call as Kong does; two are named in the file itself."""
    if name.startswith("kong."):
        return name
    return re.sub(r"([a-z]\d*)([A-Z])", r"\1_\2", f"Kong.{name}".replace("_", ".")).lower()


MESSAGES: Mapping[str, type[Message]] = _messages()
"""Every message, by name."""

CALLS: Mapping[str, tuple[str, str]] = {
    _method(name): (kind.split()[0], kind.split()[1]) for kind, names in _CALLS.items() for name in names.split()
}
"""Every call, by the name that Kong takes: the messages of its argument and of its reply."""
