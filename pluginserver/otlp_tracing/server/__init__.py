"""Kong's external plugin server: runs any kong-pdk plugin, and knows nothing of tracing.

One event is one greenlet: a phase runs as plain code, and each call to Kong suspends it until the answer
is there. No thread an event, no lock over events, no exception that leaves its event.
"""
