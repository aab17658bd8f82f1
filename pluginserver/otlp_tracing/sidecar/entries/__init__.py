"""Plugin entries: from a configuration to an entry that is ready for its records."""
