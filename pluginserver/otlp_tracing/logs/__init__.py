"""The log of every process: its warnings for the sidecar's list, and a file of bounded size."""
