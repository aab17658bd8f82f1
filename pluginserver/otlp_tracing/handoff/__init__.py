"""The hand-over from the plugin server to the sidecar: frames on a unix socket."""
