"""The plugin's configuration: Kong schema, validation, settings, sensitive names."""
