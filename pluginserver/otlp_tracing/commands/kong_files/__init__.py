"""Kong's configuration files, read as Kong reads them: YAML, JSON, manifests; each value with its place."""
