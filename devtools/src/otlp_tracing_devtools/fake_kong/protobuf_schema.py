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
    "Int": "v int32 1",
    "String": "v text 1",
}

# Argument and reply, and the calls of that kind that the stand-in Kong answers (pdk.py).
_CALLS = {
    "Empty Int": "Response_GetStatus",
    "Empty String": "Log_Serialize Response_GetSource",
    "Int Struct": "Request_GetHeaders",
    "KV Empty": "Log_SetSerializeValue Response_SetHeader Service_Request_SetHeader kong.ctx.shared.set",
    "ListValue Empty": "Log_Notice",
    "String String": "Nginx_GetVar Request_GetHeader",
    "String Value": "kong.ctx.shared.get",
    "Struct Empty": "Service_Request_SetHeaders",
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
