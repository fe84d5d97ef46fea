# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An ssod without cryptography: what docs/api.md says, with as much state as the modules can tell.

It holds no HTTP; handle() takes a request and gives a status and a document.
"""

from __future__ import annotations

import base64
import copy
import hashlib
import json
import re
import typing as t

from ansible_collections.holdfast.sso.tests.unit import fake_mappings, fake_rotation
from ansible_collections.holdfast.sso.tests.unit.fake_problem import Problem

__all__ = ["KEY_CANARY", "FakeSsod", "Problem"]

# Stands for what must never be in any output: no answer but the backup itself carries it, as in the real one.
KEY_CANARY = "canary-key-bytes-7f3a"


class FakeSsod(fake_mappings.FakeMappings, fake_rotation.FakeRotation):
    """The server m1 of an environment with the standby m2 and the server s1; m1 is the active master."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, str, t.Any]] = []
        # A test puts a Problem or a document here, to be given instead of the answer: {"GET /v1/secret": Problem(...)}.
        self.instead: dict[str, t.Any] = {}
        # A backup that this process made for recipients, by SHA-256: only that can be verified without an identity.
        self._made: dict[str, dict[str, t.Any]] = {}
        self._serial = 0
        self.mastership = "active"
        self.state: dict[str, t.Any] = {
            "master": "m1",
            "epoch": 3,
            "keys": [],
            "held": [],
            "next": None,
            "under_retired": 0,
            "backup": None,
            "servers": {},
            "revocations": [],
            "applications": {},
            "roles": {"sso_administrator": [], "sso_affiliate_administrator": [], "sso_auditor": ["group:audit"]},
            "configs": {},
            "mappings": {},
            "unit_credentials": {},
        }
        for name in ("m1", "m2", "s1"):
            self.enrol(name, f"{name}.example.com:7443", name.startswith("m"))

    # What a test arranges ---------------------------------------------------------------------------------------------

    def enrol(self, name: str, address: str, may_become_master: bool) -> None:
        last_seen = {"attached": True, "key_id": self.current_key_id(), "sealed_key_id": None, "epoch": self.state["epoch"]}
        if name in self.state["servers"]:
            last_seen = {field: self.state["servers"][name][field] for field in last_seen}
        self.state["servers"][name] = {
            "name": name,
            "address": address,
            "may_become_master": may_become_master,
            **last_seen,
            "version": "0.1.0",
            "last_seen": "2026-11-23T12:00:00Z",
        }

    def new_key_id(self) -> str:
        self._serial += 1
        return hashlib.sha256(b"key %d" % self._serial).hexdigest()[:32]

    def generate(self) -> str:
        key_id = self.new_key_id()
        for key in self.state["keys"]:
            key["state"] = "retired"
        self.state["keys"].append({"key_id": key_id, "created_at": "2026-11-23T12:00:00Z", "state": "current"})
        self.state["held"] = [key["key_id"] for key in self.state["keys"]]
        return key_id

    def spread(self, *names: str) -> None:
        for name in names or self.state["servers"]:
            self.state["servers"][name]["key_id"] = self.current_key_id()

    def snapshot(self) -> dict[str, t.Any]:
        return copy.deepcopy(self.state)

    def current_key_id(self) -> str | None:
        return self.state["keys"][-1]["key_id"] if self.state["keys"] else None

    def written(self) -> list[str]:
        """The calls that were meant to change something."""
        reading = re.compile(r"GET |.*dry_run=true|POST /v1/secret/backup$")
        return [
            f"{method} {target}"
            for method, target, body in self.calls
            if not reading.match(f"{method} {target}")
            and not (isinstance(body, dict) and (body.get("dry_run") or body.get("record") is False))
        ]

    # Requests ---------------------------------------------------------------------------------------------------------

    def handle(self, method: str, target: str, content: bytes) -> tuple[int, dict[str, t.Any]]:
        path, _unused, query = target.partition("?")
        body = json.loads(content) if content else None
        self.calls.append((method, target, body))
        try:
            if f"{method} {path}" in self.instead:
                given = self.instead[f"{method} {path}"]
                if isinstance(given, Problem):
                    raise given
                return 200, given
            for known_method, pattern, members, act in ROUTES:
                match = re.fullmatch(pattern, path)
                if match and known_method == method:
                    unknown = set(body or ()) - set(members)
                    if unknown:
                        raise Problem(400, "malformed-request", f"unknown member {sorted(unknown)}")
                    return 200, act(self, *match.groups(), body=body or {}, dry_run="dry_run=true" in query, query=query)
            raise Problem(404, "no-such-path", f"there is nothing at {path}")
        except Problem as problem:
            return problem.status, problem.document

    def get_status(self, **_unused: t.Any) -> dict[str, t.Any]:
        backup = self.state["backup"] or {}
        return {
            "server": {"name": "m1", "state": "attached", "sentence": "attached", "mastership": self.mastership},
            "database": {"reachable": True, "kind": "sqlite", "detail": None},
            "environment": {
                "id": "5e5e5e5e-0000-4000-8000-000000000001",
                "master": self.state["master"],
                "epoch": self.state["epoch"],
                "current_key_id": self.current_key_id(),
                "backup_verified_at": backup.get("verified_at"),
                "backup_place": backup.get("place"),
            },
            "servers": list(self.state["servers"].values()),
        }

    def get_secret(self, **_unused: t.Any) -> dict[str, t.Any]:
        return {
            "environment_id": "5e5e5e5e-0000-4000-8000-000000000001",
            "current_key_id": self.current_key_id(),
            "epoch": self.state["epoch"],
            "generated_at": self.state["keys"][-1]["created_at"] if self.state["keys"] else None,
            "keys": self.state["keys"] + ([{**self.state["next"], "state": "next"}] if self.state["next"] else []),
            "held_key_ids": self.state["held"],
            "sealed_key_id": self.current_key_id(),
            "backup": self.state["backup"],
        }

    def generate_secret(self, **_unused: t.Any) -> dict[str, t.Any]:
        if self.state["keys"]:
            raise Problem(409, "secret-exists")
        if self.mastership != "active":
            raise Problem(409, "not-master")
        self.generate()
        return self.get_secret()

    def make_backup(self, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        if not self.state["keys"]:
            raise Problem(409, "no-secret")
        self._serial += 1
        key_ids = [key["key_id"] for key in self.get_secret()["keys"]]
        inside = {"passphrase": body.get("passphrase"), "key_ids": key_ids, "nonce": self._serial, "key": KEY_CANARY}
        sealed = b"fake age file " + base64.b64encode(json.dumps(inside).encode())
        sha256 = hashlib.sha256(sealed).hexdigest()
        self._made[sha256] = inside
        about = {
            "format": "holdfast backup 1",
            "environment_id": "5e5e5e5e-0000-4000-8000-000000000001",
            "current_key_id": self.current_key_id(),
            "key_ids": key_ids,
            "made_at": "2026-11-23T12:00:00Z",
            "made_by": "m1",
            "protection": "passphrase" if "passphrase" in body else "recipients",
            "reminder": body.get("reminder"),
            "sha256": sha256,
        }
        return {"backup": base64.b64encode(sealed).decode(), "about": about}

    def open_backup(self, body: dict[str, t.Any]) -> tuple[dict[str, t.Any], str]:
        sealed = base64.b64decode(body["backup"])
        sha256 = hashlib.sha256(sealed).hexdigest()
        if not sealed.startswith(b"fake age file "):
            raise Problem(422, "backup-damaged")
        inside = json.loads(base64.b64decode(sealed.rpartition(b" ")[2]))
        if inside["passphrase"] is None and not body.keys() & {"identity", "shares"} and sha256 not in self._made:
            raise Problem(422, "wrong-passphrase")
        if inside["passphrase"] != body.get("passphrase"):
            raise Problem(422, "wrong-passphrase")
        return inside, sha256

    def verify_backup(self, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        inside, sha256 = self.open_backup(body)
        if body["record"]:
            self.state["backup"] = {
                "key_id": self.current_key_id(),
                "verified_at": "2026-11-23T12:00:00Z",
                "place": body["place"],
                "sha256": sha256,
                "protection": "recipients" if inside["passphrase"] is None else "passphrase",
            }
        return {
            "environment_id": "5e5e5e5e-0000-4000-8000-000000000001",
            "current_key_id": inside["key_ids"][-1],
            "key_ids": inside["key_ids"],
            "sha256": sha256,
        }

    def restore(self, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        inside, _sha256 = self.open_backup(body)
        changed = not set(inside["key_ids"]) <= set(self.state["held"])
        if changed and not body["dry_run"]:
            self.state["held"] = list(inside["key_ids"])
        return {"changed": changed, "current_key_id": inside["key_ids"][-1], "key_ids": inside["key_ids"]}

    def distribute(self, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        names = body["servers"] or list(self.state["servers"])
        self.spread(*names)
        servers = [
            {
                "name": name,
                "reachable": True,
                "attached": True,
                "key_id": self.current_key_id(),
                "epoch": self.state["epoch"],
                "seconds": 0.1,
                "detail": None,
            }
            for name in names
        ]
        return {"key_id": self.current_key_id(), "servers": servers}

    def get_master(self, **_unused: t.Any) -> dict[str, t.Any]:
        return {
            "this_server": "m1",
            "master": self.state["master"],
            "epoch": self.state["epoch"],
            "mastership": self.mastership,
            "may_become_master": True,
            "sentence": f"{self.mastership}: a fake",
        }

    def activate(self, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        epoch = self.state["epoch"]
        changed = self.mastership != "active"
        # As the real one: a server that is active already is not held to the epoch that it was promoted from.
        if changed and body.get("expected_epoch", epoch) != epoch:
            condition = f"epoch {body['expected_epoch']} was expected; the database is at epoch {epoch}"
            raise Problem(409, "activation-refused", f"m1 cannot become the master: {condition}", [condition])
        if changed and not body["dry_run"]:
            self.mastership = "active"
            self.state.update(master="m1", epoch=epoch + 1)
        return {"changed": changed, "master": self.state["master"], "epoch": self.state["epoch"], "servers": []}

    def deactivate(self, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        changed = self.mastership == "active"
        if changed and not body["dry_run"]:
            self.mastership = "passive"
            self.state.update(master=None, epoch=self.state["epoch"] + 1)
        return {"changed": changed, "epoch": self.state["epoch"]}

    def list_servers(self, **_unused: t.Any) -> dict[str, t.Any]:
        return {"servers": list(self.state["servers"].values())}

    def put_server(self, name: str, body: dict[str, t.Any], **_unused: t.Any) -> dict[str, t.Any]:
        self.enrol(name, body["address"], body["may_become_master"])
        return self.state["servers"][name]

    def delete_server(self, name: str, **_unused: t.Any) -> dict[str, t.Any]:
        if name not in self.state["servers"]:
            raise Problem(404, "server-not-found")
        del self.state["servers"][name]
        key = hashlib.sha256(name.encode()).hexdigest()
        times = {"expires_at": "2027-11-23T12:00:00Z", "revoked_at": "2026-11-23T12:00:00Z"}
        self.state["revocations"].append({"name": name, "key": key, "serial": "1f", **times})
        return {"revoked": list(self.state["revocations"])}

    def list_revocations(self, **_unused: t.Any) -> dict[str, t.Any]:
        return {"revocations": list(self.state["revocations"])}

    def list_applications(self, **_unused: t.Any) -> dict[str, t.Any]:
        return {"applications": list(self.state["applications"].values())}

    def get_application(self, name: str, **_unused: t.Any) -> dict[str, t.Any]:
        if name not in self.state["applications"]:
            raise Problem(404, "application-not-found", f"there is no application {name}")
        return self.state["applications"][name]

    def put_application(self, name: str, body: dict[str, t.Any], dry_run: bool = False, **_unused: t.Any) -> dict[str, t.Any]:
        before = self.state["applications"].get(name, {"name": name, **NEW_APPLICATION, "version": 0})
        version = before["version"]
        if body.get("if_version", version) != version:
            raise Problem(409, "version-conflict")
        own = {field: body[field] for field in before if field in body}
        wanted = {**before, **own, "flags": {**before["flags"], **body.get("flags", {})}}
        if wanted["enabled"] and not wanted["users"] and not wanted["administrators"]:
            raise Problem(422, "application-incomplete", conditions=["nobody may use it"])
        plan = {
            "changes": [f"{field} changes" for field in wanted if _unordered(wanted[field]) != _unordered(before[field])],
            "destroys": self.lost(before, wanted),
        }
        if not version:
            plan["changes"].append("it is created")
        if plan["destroys"] and body.get("data_loss") != "accept":
            raise Problem(409, "data-loss", conditions=plan["destroys"])
        if plan["changes"] and not dry_run:
            wanted["version"] = version + 1
            self.state["applications"][name] = wanted
        return {**(wanted if plan["changes"] else before), "plan": plan}

    def lost(self, before: dict[str, t.Any], wanted: dict[str, t.Any]) -> list[str]:
        gone = {field["name"] for field in before["fields"]} - {field["name"] for field in wanted["fields"]}
        bags = [bag["properties"] for (owner, _name), bag in self.state["configs"].items() if owner == before["name"]]
        if before["type"] != wanted["type"]:
            return [f"{len(bags)} configurations are deleted"] if bags else []
        return [f"field {field} is deleted" for field in sorted(gone) if any(field in bag for bag in bags)]

    def delete_application(self, name: str, query: str, dry_run: bool, **_unused: t.Any) -> dict[str, t.Any]:
        self.get_application(name)
        destroys = [f"{len(self.configs_of(name))} configurations are deleted"] if self.configs_of(name) else []
        if destroys and "with_data=true" not in query:
            raise Problem(409, "application-in-use")
        if dry_run:
            return {"destroys": destroys}
        self.state["configs"] = {key: bag for key, bag in self.state["configs"].items() if key[0] != name}
        del self.state["applications"][name]
        return {"destroys": destroys}

    def list_roles(self, **_unused: t.Any) -> dict[str, t.Any]:
        return {"roles": [self.role(name, members) for name, members in self.state["roles"].items()]}

    @staticmethod
    def role(name: str, members: list[str]) -> dict[str, t.Any]:
        configured = ["group:sso-admins"] if name == "sso_administrator" else []
        return {"role": name, "members": sorted(members), "configured": configured}

    def put_role(self, name: str, body: dict[str, t.Any], dry_run: bool, **_unused: t.Any) -> dict[str, t.Any]:
        before, wanted = set(self.state["roles"][name]), set(body["members"])
        if not dry_run:
            self.state["roles"][name] = sorted(wanted)
        changes = {"added": sorted(wanted - before), "removed": sorted(before - wanted)}
        return {**self.role(name, list(wanted)), "changes": changes}

    def configs_of(self, application: str) -> list[dict[str, t.Any]]:
        return [
            {
                "name": name,
                "version": bag["version"],
                "updated_at": "2026-11-23T12:00:00Z",
                "fields": sorted(bag["properties"]),
            }
            for (owner, name), bag in self.state["configs"].items()
            if owner == application
        ]

    def list_configs(self, application: str, **_unused: t.Any) -> dict[str, t.Any]:
        self.get_application(application)
        return {"configs": self.configs_of(application)}

    def get_config(self, application: str, name: str, query: str = "", **_unused: t.Any) -> dict[str, t.Any]:
        fields = {field["name"]: field["masked"] for field in self.get_application(application)["fields"]}
        reveal = "reveal=true" in query
        if (application, name) not in self.state["configs"]:
            raise Problem(404, "config-not-found")
        bag = self.state["configs"][application, name]
        return {
            "application": application,
            "name": name,
            "version": bag["version"],
            "updated_at": "2026-11-23T12:00:00Z",
            "key_id": self.current_key_id(),
            "properties": {field: value for field, value in bag["properties"].items() if reveal or not fields[field]},
            "masked": sorted(field for field in bag["properties"] if fields[field]),
        }

    def put_config(
        self, application: str, name: str, body: dict[str, t.Any], dry_run: bool, **_unused: t.Any
    ) -> dict[str, t.Any]:
        declared = {field["name"] for field in self.get_application(application)["fields"]}
        wanted = fake_mappings.opened(body, "properties") or {}
        undeclared = sorted(set(wanted) - declared)
        if undeclared:
            conditions = [f"{field} is not declared" for field in undeclared]
            raise Problem(422, "invalid-value", f"{application} has no such fields", conditions)
        there = self.state["configs"].get((application, name))
        version = there["version"] if there else 0
        if body.get("if_version", version) != version:
            raise Problem(409, "version-conflict")
        old = there["properties"] if there else {}
        changes = {
            "added": sorted(set(wanted) - set(old)),
            "changed": sorted(field for field in set(wanted) & set(old) if wanted[field] != old[field]),
            "removed": sorted(set(old) - set(wanted)),
        }
        if there is None or any(changes.values()):
            version += 1
            if not dry_run:
                self.state["configs"][application, name] = {"properties": dict(wanted), "version": version}
        return {"version": version, "changes": changes}

    def delete_config(self, application: str, name: str, dry_run: bool, **_unused: t.Any) -> dict[str, t.Any]:
        version = self.get_config(application, name)["version"]
        if not dry_run:
            del self.state["configs"][application, name]
        return {"version": version}


NEW_APPLICATION: dict[str, t.Any] = {
    "description": "",
    "contact": "",
    "enabled": False,
    "administrators": [],
    "users": [],
    "fields": [],
    "type": "config_store",
    "flags": {
        "tickets_allowed": False,
        "tickets_validated": True,
        "tickets_single_use": False,
        "ticket_timeout": 120,
        "credential_cache": True,
    },
}
APPLICATION = (*NEW_APPLICATION, "data_loss", "if_version")


def _unordered(value: t.Any) -> t.Any:
    """Who may do what is a set; fields have an order."""
    return sorted(value) if isinstance(value, list) and all(isinstance(each, str) for each in value) else value


ROUTES: list[tuple[str, str, tuple[str, ...], t.Callable[..., dict[str, t.Any]]]] = [
    ("GET", "/v1/status", (), FakeSsod.get_status),
    ("GET", "/v1/secret", (), FakeSsod.get_secret),
    ("POST", "/v1/secret/generate", (), FakeSsod.generate_secret),
    ("POST", "/v1/secret/backup", ("passphrase", "recipients", "reminder"), FakeSsod.make_backup),
    ("POST", "/v1/secret/backup/verify", ("backup", "passphrase", "identity", "place", "record"), FakeSsod.verify_backup),
    ("POST", "/v1/secret/restore", ("backup", "passphrase", "identity", "shares", "dry_run"), FakeSsod.restore),
    ("POST", "/v1/secret/distribute", ("servers", "timeout"), FakeSsod.distribute),
    ("GET", "/v1/master", (), FakeSsod.get_master),
    ("POST", "/v1/master/activate", ("expected_epoch", "dry_run"), FakeSsod.activate),
    ("POST", "/v1/master/deactivate", ("dry_run",), FakeSsod.deactivate),
    ("GET", "/v1/servers", (), FakeSsod.list_servers),
    ("PUT", "/v1/servers/([^/]+)", ("address", "may_become_master"), FakeSsod.put_server),
    ("DELETE", "/v1/servers/([^/]+)", (), FakeSsod.delete_server),
    ("GET", "/v1/revocations", (), FakeSsod.list_revocations),
    ("GET", "/v1/roles", (), FakeSsod.list_roles),
    ("PUT", "/v1/roles/([^/]+)", ("members",), FakeSsod.put_role),
    ("GET", "/v1/applications", (), FakeSsod.list_applications),
    ("GET", "/v1/applications/([^/]+)", (), FakeSsod.get_application),
    ("PUT", "/v1/applications/([^/]+)", APPLICATION, FakeSsod.put_application),
    ("DELETE", "/v1/applications/([^/]+)", (), FakeSsod.delete_application),
    ("GET", "/v1/applications/([^/]+)/config", (), FakeSsod.list_configs),
    ("GET", "/v1/applications/([^/]+)/config/([^/]+)", (), FakeSsod.get_config),
    ("PUT", "/v1/applications/([^/]+)/config/([^/]+)", ("properties", "ciphertexts", "if_version"), FakeSsod.put_config),
    ("DELETE", "/v1/applications/([^/]+)/config/([^/]+)", (), FakeSsod.delete_config),
    *fake_mappings.ROUTES,
    *fake_rotation.ROUTES,
]
