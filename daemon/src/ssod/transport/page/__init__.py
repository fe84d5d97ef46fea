"""The status page: three files, put together into one that needs nothing else; and the headers that hold browsers to that."""

from __future__ import annotations

import base64
import hashlib
from importlib.resources import files
from typing import Final


def _text(name: str) -> str:
    return files(__name__).joinpath(name).read_text("utf-8")


def _source(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


_STYLE, _SCRIPT = _text("page.css"), _text("page.js")

PAGE: Final = _text("page.html").replace("/* page.css */", _STYLE).replace("/* page.js */", _SCRIPT).encode()

# Just this style and this script run; nothing is fetched but from here, and no string becomes markup.
_POLICY: Final = "; ".join(
    [
        "default-src 'none'",
        f"style-src {_source(_STYLE)}",
        f"script-src {_source(_SCRIPT)}",
        "connect-src 'self'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types 'none'",
    ]
)

HEADERS: Final = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)
