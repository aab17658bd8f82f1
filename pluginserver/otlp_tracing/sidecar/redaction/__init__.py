"""Removes secrets from finished spans, after assembly and before they are encoded, stored, shown or sent."""
