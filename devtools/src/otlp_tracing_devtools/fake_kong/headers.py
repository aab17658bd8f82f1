"""Header lines of one message: in order, repeated, compared without case.

Names and values are text (see `lua_values`). Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

MAX_LUA_HEADERS = 100  # lua_max_req_headers and lua_max_resp_headers, Kong's defaults


class Headers:
    """A list of (name, value) with the look-ups of a table."""

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._pairs = list(pairs)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._pairs)

    def __contains__(self, name: str) -> bool:
        return self.get(name) is not None

    def __repr__(self) -> str:
        return f"<Headers {len(self._pairs)} lines>"

    def copy(self) -> Headers:
        """Give an independent copy."""
        return Headers(self._pairs)

    def get(self, name: str) -> str | None:
        """Give the first value, or None."""
        wanted = name.lower()
        return next((value for key, value in self._pairs if key.lower() == wanted), None)

    def get_all(self, name: str) -> list[str]:
        """Give every value in order."""
        wanted = name.lower()
        return [value for key, value in self._pairs if key.lower() == wanted]

    def set(self, name: str, values: str | Iterable[str]) -> None:
        """Replace every line of that name; no value at all removes it."""
        self.remove(name)
        self._pairs.extend((name, value) for value in ([values] if isinstance(values, str) else values))

    def add(self, name: str, value: str) -> None:
        """Append one line."""
        self._pairs.append((name, value))

    def remove(self, *names: str) -> None:
        """Take away every line of these names."""
        unwanted = {name.lower() for name in names}
        self._pairs = [pair for pair in self._pairs if pair[0].lower() not in unwanted]

    def tokens(self, name: str) -> list[str]:
        """Give the comma separated parts of a header in lower case."""
        parts = (part.strip().lower() for value in self.get_all(name) for part in value.split(","))
        return [part for part in parts if part]

    def as_lua_table(self, most: int = MAX_LUA_HEADERS) -> dict[str, str | list[str]]:
        """Give the table of `ngx.req.get_headers(most)`: lower-case names, a list only where a name repeats."""
        table: dict[str, str | list[str]] = {}
        for name, value in self._pairs[:most]:
            key = name.lower()
            seen = table.get(key)
            if seen is None:
                table[key] = value
            elif isinstance(seen, list):
                seen.append(value)
            else:
                table[key] = [seen, value]
        return table
