"""Promises of sidecar/export/key_rotation.py."""

from __future__ import annotations

from otlp_tracing.sidecar.export.key_rotation import KeyRotation


def test_the_successor_is_the_last_destination_of_the_same_entries() -> None:
    """Not one that an entry had before, and none while an entry still has the old one."""
    rotation = KeyRotation()
    for sender, identity in ((("a",), b"1"), (("b",), b"1"), (("a",), b"2")):
        rotation.configure(sender, identity)
    assert (rotation.successor(b"1"), rotation.successor(b"2"), rotation.successor(b"3")) == (None, None, None)

    rotation.configure(("b",), b"2")
    assert rotation.successor(b"1") == b"2"

    rotation.configure(("a",), b"1")
    assert (rotation.successor(b"1"), rotation.successor(b"2")) == (None, None)


def test_entries_that_part_have_no_successor() -> None:
    """A destination of two entries that send to two others now belongs to neither of these."""
    rotation = KeyRotation()
    for sender, identity in ((("a",), b"1"), (("b",), b"1"), (("a",), b"2"), (("b",), b"3")):
        rotation.configure(sender, identity)

    assert rotation.successor(b"1") is None


def test_the_memory_is_bounded() -> None:
    """The pair that was configured the longest ago is evicted."""
    rotation = KeyRotation(max_pairs=2)
    for identity in (b"1", b"2", b"3"):
        rotation.configure(("a",), identity)

    assert (rotation.successor(b"1"), rotation.successor(b"2")) == (None, b"3")
