"""What crosses a process border: plain data, and the rules it obeys.

Every other package may import this one; it imports none of them, and no library but msgpack.
"""
