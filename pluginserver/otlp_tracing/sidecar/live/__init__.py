"""What the live page can show of the last minutes: kept traces, facts about all requests, figures by route.

Rings in memory, each bounded by count or bytes, filled with what is there anyway; whatever costs more than
an append is worked out when somebody looks. Nothing in here is on disk, and nothing survives the process.
"""
