r"""The paths in a route of Kong's expression language, in the form of a route's `paths`.

Routes are expressions with `router_flavor = expressions`.
`http.path ^= "/users"` is the path /users, and `http.path ~ r#"^/users/(?<id>\d+)$"#` is a regular expression.
Conditions on other fields, and those in a negation, are no paths.

Source: Kong/atc-router, src/atc_grammar.pest; kong/router/fields.lua of Kong 3.9.1 (`http.path` is normalized).
"""

from __future__ import annotations

import re
from functools import lru_cache

_TOKEN = re.compile(
    r'r#"(?P<raw>.*?)"#'
    r'|"(?P<text>(?:[^"\\]|\\.)*)"'
    r"|(?P<lower>lower\s*\(\s*)?\bhttp\.path(?(lower)\s*\))\s*(?P<operator>==|\^=|~)\s*"
    r"|(?P<open>!?\s*\()"
    r"|(?P<close>\))",
    re.DOTALL,
)
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}


@lru_cache(maxsize=4096)  # as many routes as a large gateway has
def expression_paths(expression: str) -> tuple[str, ...]:
    """Return the paths that an expression compares `http.path` with; regular expressions have a leading `~`.

    A path of `==` is a regular expression that ends, and one that is compared in lower case has the flag (?i).
    """
    paths: list[str] = []
    anywhere: list[str] = []
    negated = [False]
    operator, is_lower, value_at = "", False, -1
    for token in _TOKEN.finditer(expression):
        if token["open"]:
            negated.append(negated[-1] or token["open"].startswith("!"))
        elif token["close"]:
            negated = negated[:-1] or [False]
        elif token["operator"]:
            operator, is_lower, value_at = token["operator"], bool(token["lower"]), token.end()
        elif token.start() == value_at and not negated[-1]:
            text = token["raw"] if token["raw"] is not None else _unescaped(token["text"])
            flag = "(?i)" if is_lower else ""
            if operator == "~":
                paths.append(f"~{flag}{text}")
                if not text.startswith("^"):
                    anywhere.append(f"~{flag}.*{text}")
            elif operator == "==" or is_lower:
                paths.append(f"~{flag}{re.escape(text)}{'$' * (operator == '==')}")
            else:
                paths.append(text)
    return (*paths, *anywhere)


def _unescaped(text: str) -> str:
    return re.sub(r"\\(.)", lambda found: _ESCAPES.get(found[1], found[1]), text, flags=re.DOTALL)
