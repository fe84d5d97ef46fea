"""`ssoctl unit-credential` says which value a unit is given, and sees none."""

from __future__ import annotations

import json

from fake_ssod import FakeSsod
from ssoctl_harness import Ssoctl

PATH = "/v1/applications/billing/unit-credentials"
GRANT = {"unit": "job@.service", "credential": "db", "application": "billing", "config": "prod", "field": "password"}


def test_list_shows_units_and_places(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    fake.answers[f"GET {PATH}"] = {"unit_credentials": [GRANT]}
    assert ssoctl("unit-credential", "list", "billing").out.splitlines()[-1].split() == ["job@.service", "db", "prod", "password"]
    assert json.loads(ssoctl("unit-credential", "list", "billing", "--json").out) == {"unit_credentials": [GRANT]}


def test_set_sends_the_place_and_says_what_is_new(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    path = f"PUT {PATH}/job%40.service/db"
    fake.answers |= {path: GRANT | {"changed": True}, f"{path}?dry_run=true": GRANT | {"changed": True}}
    command = ["unit-credential", "set", "billing", "job@.service", "db", "prod", "password"]
    assert ssoctl(*command).out == "job@.service is given: db = billing/prod/password\n"
    assert fake.requests[0].body == {"config": "prod", "field": "password"}
    assert ssoctl(*command, "--dry-run").out == "job@.service would be given: db = billing/prod/password\n"
    fake.answers[path] = GRANT | {"changed": False}
    assert ssoctl(*command).out == "job@.service is given already: db = billing/prod/password\n"


def test_delete_asks_first(fake: FakeSsod, ssoctl: Ssoctl) -> None:
    path = f"DELETE {PATH}/job%40.service/db"
    fake.answers |= {path: GRANT, f"{path}?dry_run=true": GRANT}
    command = ["unit-credential", "delete", "billing", "job@.service", "db"]
    assert ssoctl(*command).code == 2
    assert fake.requests == []
    assert ssoctl(*command, "--dry-run").out == "db would be taken away from job@.service\n"
    assert ssoctl(*command, "--yes").out == "db is taken away from job@.service\n"
    assert fake.asked() == [f"{path}?dry_run=true", path]
