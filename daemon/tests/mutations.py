"""Bytes that are nearly right: what is right, cut, doubled, torn apart and seasoned with what parsers trip over."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import strategies as st

TOKENS = [
    b"",
    b"\x00",
    b"\xff",
    b"\xed\xa0\x80",  # half of a surrogate pair
    b"\\ud800",
    b"\\u0000",
    b"\n",
    b"\r\n",
    b'"',
    b"%",
    b"1e999",
    b"-1",
    b"9" * 30,
    b"9" * 5000,
    b"NaN",
    b"null",
    b"{}",
    b"[" * 1200,
    b'{"a":' * 1200,
    "٣".encode(),  # a digit to Python
    "é\u2028".encode(),
]

_texts = st.text(max_size=10)
_leaves = st.none() | st.booleans() | st.integers() | st.floats() | _texts
_documents = st.recursive(
    _leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_texts, inner, max_size=3), max_leaves=6
)


@st.composite
def _edited(draw: st.DrawFn, right: Sequence[bytes]) -> bytes:
    content = draw(st.sampled_from(right))
    for _ in range(draw(st.integers(1, 3))):
        begin = draw(st.integers(0, len(content)))
        end = draw(st.integers(begin, min(len(content), begin + 20)) | st.just(len(content)))
        new = draw(st.sampled_from([*TOKENS, content[begin:end] * 2]) | st.binary(max_size=4))
        content = content[:begin] + new + content[end:]
    return content


@st.composite
def _members_exchanged(draw: st.DrawFn, right: Sequence[bytes]) -> bytes:
    """One member of a JSON object is anything, or is missing, or one is added."""
    document = json.loads(draw(st.sampled_from(right)))
    if not isinstance(document, dict) or not document:
        return draw(_documents.map(json.dumps)).encode()
    name = draw(st.sampled_from(sorted(document)))
    how = draw(st.sampled_from(["replace", "remove", "add"]))
    if how == "remove":
        del document[name]
    else:
        document[name if how == "replace" else draw(_texts)] = draw(_documents)
    return json.dumps(document).encode()


def mutated(*right: bytes) -> st.SearchStrategy[bytes]:
    """Anything at all, and what is nearly one of `right`."""
    return st.binary(max_size=60) | _documents.map(lambda document: json.dumps(document).encode()) | _edited(right)


def mutated_json(*right: bytes) -> st.SearchStrategy[bytes]:
    return mutated(*right) | _members_exchanged(right)
