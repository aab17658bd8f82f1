"""The head decision: rules, rates, consistent thresholds and token buckets.

Pure: headers and settings in, a RequestContext out; randomness is an argument. The plugin decides in `access`. The
sidecar decides by the same code for requests that never reached `access` (no route, rejected by another plugin).
"""
