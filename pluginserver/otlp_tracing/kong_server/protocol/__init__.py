"""Kong's two plugin RPC protocols, MessagePack and ProtoBuf."""
