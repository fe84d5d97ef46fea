"""`ssoctl openapi` hands on what ssod says of its API."""

from __future__ import annotations

import json

from fake_ssod import FakeSsod
from ssoctl_harness import Ssoctl


def test_the_description_is_printed_whole(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    """Every member, as a document that another program reads."""
    document = {"openapi": "3.1.0", "paths": {"/v1/health": {"get": {"summary": "One sentence"}}}}
    fake.answers["GET /v1/openapi.json"] = document
    finished = ssoctl("openapi")
    assert (finished.code, finished.err) == (0, "")
    assert json.loads(finished.out) == document
