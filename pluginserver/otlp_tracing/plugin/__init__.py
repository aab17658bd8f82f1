"""The plugin's phases inside Kong's plugin server. `pdk.py` alone names `kong.*` calls."""
