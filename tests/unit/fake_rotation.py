# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rotation of the fake ssod's secret, step by step."""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.sso.tests.unit.fake_problem import Problem


class FakeRotation:
    """Part of FakeSsod, whose state it changes. A server that is not attached does not get the next secret."""

    state: dict[str, t.Any]
    new_key_id: t.Callable[[], str]
    current_key_id: t.Callable[[], str | None]

    def get_rotation(self, **_unused: t.Any) -> dict[str, t.Any]:
        coming = self.state["next"]
        return {
            "current_key_id": self.current_key_id(),
            "next": coming and {"key_id": coming["key_id"], "created_at": coming["created_at"], "backup": None},
            "values": {},
            "left": self.state["under_retired"],
        }

    def prepare_rotation(self, **_unused: t.Any) -> dict[str, t.Any]:
        changed = self.state["next"] is None
        if changed:
            key_id = self.new_key_id()
            self.state["next"] = {"key_id": key_id, "created_at": "2026-11-23T12:00:00Z"}
            self.state["held"].append(key_id)
        return {"changed": changed, "current_key_id": self.current_key_id(), "next_key_id": self.state["next"]["key_id"]}

    def switch(self, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        servers = [name for name in self.state["servers"] if name not in body["without"]]
        if "s1" in servers and self.state["servers"]["s1"]["attached"] is False:
            raise Problem(409, "rotation-refused", conditions=["s1 does not hold it"])
        if not body["dry_run"]:
            for key in self.state["keys"]:
                key["state"] = "retired"
            self.state["keys"].append({**self.state["next"], "state": "current"})
            self.state.update(next=None, under_retired=2500)
        return {"changed": True, "current_key_id": self.current_key_id(), "servers": [{"name": name} for name in servers]}

    def renew(self, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        renewed = min(body["limit"], self.state["under_retired"])
        self.state["under_retired"] -= renewed
        place = {"kind": "config", "application": "a", "owner": "b", "field": "c"}
        return {"renewed": renewed, "last": place if renewed == body["limit"] else None, "damaged": []}


ROUTES: list[tuple[str, str, tuple[str, ...], t.Callable[..., dict[str, t.Any]]]] = [
    ("GET", "/v1/secret/rotation", (), FakeRotation.get_rotation),
    ("POST", "/v1/secret/rotation/prepare", (), FakeRotation.prepare_rotation),
    ("POST", "/v1/secret/rotation/switch", ("without", "timeout", "dry_run"), FakeRotation.switch),
    ("POST", "/v1/secret/rotation/renew", ("after", "limit"), FakeRotation.renew),
]
