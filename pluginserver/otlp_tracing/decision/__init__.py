"""What is decided about a request before it goes upstream: whose trace it is, and whether it is kept.

Pure: headers and settings in, a RequestContext out; randomness is handed in. The gateway decides here in
`access`; the sidecar does for requests that never got that far (no route, stopped by another plugin), so
that both decide alike.
"""
