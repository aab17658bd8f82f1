"""The disk buffer: encoded spans wait here until the collector has answered for them."""
