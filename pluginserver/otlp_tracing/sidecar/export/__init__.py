"""Sends spooled spans to the collectors: each destination has a queue, a loop and a transport of its own."""
