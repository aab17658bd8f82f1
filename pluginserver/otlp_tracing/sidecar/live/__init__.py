"""Data of the live page: recent kept traces, recent requests, figures by route.

Rings in memory, each bounded by count or bytes. A request costs an append and a few counts; everything more
expensive is computed when a page asks. Nothing is written to disk, and nothing survives the process.
"""
