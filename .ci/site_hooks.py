"""Hooks of mkdocs for `make site`."""

from __future__ import annotations

import os
import re
from typing import Any

# A link that leaves docs/, such as ](../kong/kong.yml). tests/unit/test_docs.py shows that each leads somewhere.
_OUTSIDE = re.compile(r"\[([^\]]+)\]\((?:\.\./)+((?!\.\.)[^)#\s]+)(#[^)\s]*)?\)")
# A picture in HTML, for dark and light: mkdocs moves the page into a folder of its own and leaves the path as it is.
_PICTURE = re.compile(r'(src|srcset)="([\w-]+\.svg)"')


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links to other files of the repository lead there; without a repository they are plain text."""
    depth = page.file.src_uri.count("/") + 1
    repository = os.environ.get("GITHUB_REPOSITORY")
    files = f"{os.environ.get('GITHUB_SERVER_URL', 'https://github.com')}/{repository}/blob/main"

    def outside(link: re.Match[str]) -> str:
        if link[0].count("../") < depth:  # still in docs/
            return link[0]
        return f"[{link[1]}]({files}/{link[2]}{link[3] or ''})" if repository else link[1]

    return _PICTURE.sub(r'\1="../\2"', _OUTSIDE.sub(outside, markdown))
