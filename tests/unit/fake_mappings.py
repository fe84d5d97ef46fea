# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The credential mappings and the units' credentials of the fake ssod.

It holds no HTTP and keeps its state in the FakeSsod that it is a part of.
"""

from __future__ import annotations

import base64
import typing as t
from urllib.parse import parse_qs, unquote

from ansible_collections.holdfast.sso.tests.unit.fake_problem import Problem

FIELDS = ("external_id", "position", "disabled_by_administrator")


def sealed(value: str) -> str:
    """What the fake's export would have in place of a value."""
    return "hf1." + base64.urlsafe_b64encode(value.encode()).decode()


def opened(body: t.Mapping[str, t.Any], member: str) -> dict[str, str] | None:
    """The values of a request body, whichever way they are given; None for none."""
    if body.get("ciphertexts") is not None:
        return {name: base64.urlsafe_b64decode(text[4:]).decode() for name, text in body["ciphertexts"].items()}
    return body.get(member)


class FakeMappings:
    """A part of FakeSsod."""

    state: dict[str, t.Any]
    # Whose credentials are looked up.
    caller = "user:alice"

    def get_application(self, name: str, **_unused: t.Any) -> dict[str, t.Any]:
        raise NotImplementedError

    def current_key_id(self) -> str | None:
        raise NotImplementedError

    def list_mappings(self, application: str, query: str, **_unused: t.Any) -> dict[str, t.Any]:
        self.get_application(application)
        wanted = parse_qs(query)
        after, limit = wanted.get("after", [""])[0], int(wanted.get("limit", ["1000"])[0])
        found = [
            self.mapping_document(principal, mapping)
            for (owner, principal), mapping in sorted(self.state["mappings"].items())
            if owner == application and principal > after
        ]
        if "external_id" in wanted:
            found = [mapping for mapping in found if mapping["external_id"] == wanted["external_id"][0]]
        page, rest = found[:limit], found[limit:]
        return {"mappings": page, "next": page[-1]["principal"] if rest else None}

    def find_mapping(self, application: str, principal: str) -> dict[str, t.Any] | None:
        self.get_application(application)
        return self.state["mappings"].get((application, unquote(principal)))

    def get_mapping(self, application: str, principal: str, **_unused: t.Any) -> dict[str, t.Any]:
        mapping = self.find_mapping(application, principal)
        if mapping is None:
            raise Problem(404, "mapping-not-found")
        return self.mapping_document(unquote(principal), mapping)

    def put_mapping(
        self, application: str, principal: str, body: dict[str, t.Any], dry_run: bool, **_unused: t.Any
    ) -> dict[str, t.Any]:
        there = self.find_mapping(application, principal)
        if body.get("if_version", there["version"] if there else 0) != (there["version"] if there else 0):
            raise Problem(409, "version-conflict")
        credentials = opened(body, "credentials")
        old = there or {"credentials": {}, "disabled_by_user": False, "disabled_by_administrator": True, "version": 0}
        disabled = body["disabled_by_administrator"]
        if disabled is None:
            disabled = old["disabled_by_administrator"] and not (credentials and not old["credentials"])
        new = {
            "external_id": body["external_id"],
            "position": body["position"],
            "disabled_by_user": old["disabled_by_user"],
            "disabled_by_administrator": disabled,
            "credentials": old["credentials"] if credentials is None else credentials,
        }
        given, stored = new["credentials"], old["credentials"]
        changes = {
            "added": sorted(set(given) - set(stored)),
            "changed": sorted(name for name in set(given) & set(stored) if given[name] != stored[name]),
            "removed": sorted(set(stored) - set(given)),
            "mapping": sorted(name for name in FIELDS if there and there[name] != new[name]),
        }
        version = old["version"] + (there is None or any(changes.values()))
        if not dry_run:
            self.state["mappings"][application, unquote(principal)] = {**new, "version": version}
        return {**self.mapping_document(unquote(principal), {**new, "version": version}), "changes": changes}

    def delete_mapping(self, application: str, principal: str, dry_run: bool, **_unused: t.Any) -> dict[str, t.Any]:
        self.get_mapping(application, principal)
        if not dry_run:
            del self.state["mappings"][application, unquote(principal)]
        return {}

    def get_credentials(self, application: str, **_unused: t.Any) -> dict[str, t.Any]:
        mapping = self.find_mapping(application, self.caller)
        if mapping is None:
            raise Problem(404, "mapping-not-found", f"{self.caller} has no mapping in {application}")
        return {
            "application": application,
            "principal": self.caller,
            "external_id": mapping["external_id"],
            "credentials": mapping["credentials"],
            "key_id": self.current_key_id(),
            "cached_at": None,
        }

    def list_unit_credentials(self, application: str, **_unused: t.Any) -> dict[str, t.Any]:
        self.get_application(application)
        granted = [each for key, each in sorted(self.state["unit_credentials"].items()) if key[0] == application]
        return {"unit_credentials": granted}

    def get_unit_credential(self, application: str, unit: str, credential: str, **_unused: t.Any) -> dict[str, t.Any]:
        self.get_application(application)
        key = (application, unquote(unit), unquote(credential))
        if key not in self.state["unit_credentials"]:
            raise Problem(404, "unit-credential-not-found")
        return self.state["unit_credentials"][key]

    def put_unit_credential(
        self, application: str, unit: str, credential: str, body: dict[str, t.Any], dry_run: bool, **_unused: t.Any
    ) -> dict[str, t.Any]:
        declared = {field["name"] for field in self.get_application(application)["fields"]}
        if body["field"] not in declared:
            raise Problem(422, "invalid-value", f"{application} has no field {body['field']}")
        key = (application, unquote(unit), unquote(credential))
        wanted = {"application": key[0], "unit": key[1], "credential": key[2], **body}
        changed = self.state["unit_credentials"].get(key) != wanted
        if not dry_run:
            self.state["unit_credentials"][key] = wanted
        return {**wanted, "changed": changed}

    def delete_unit_credential(self, application: str, unit: str, credential: str, **_unused: t.Any) -> dict[str, t.Any]:
        granted = self.get_unit_credential(application, unit, credential)
        del self.state["unit_credentials"][application, unquote(unit), unquote(credential)]
        return granted

    def mapping_document(self, principal: str, mapping: dict[str, t.Any]) -> dict[str, t.Any]:
        shown = {name: value for name, value in mapping.items() if name != "credentials"}
        return {
            "principal": principal,
            **shown,
            "enabled": not (mapping["disabled_by_user"] or mapping["disabled_by_administrator"]),
            "fields": sorted(mapping["credentials"]),
            "key_id": self.current_key_id() if mapping["credentials"] else None,
            "updated_at": "2026-11-23T12:00:00Z",
        }


MAPPING = (*FIELDS, "credentials", "ciphertexts", "if_version")
UNIT_CREDENTIAL = "/v1/applications/([^/]+)/unit-credentials/([^/]+)/([^/]+)"
ROUTES: list[tuple[str, str, tuple[str, ...], t.Callable[..., dict[str, t.Any]]]] = [
    ("GET", "/v1/applications/([^/]+)/mappings", (), FakeMappings.list_mappings),
    ("GET", "/v1/applications/([^/]+)/mappings/([^/]+)", (), FakeMappings.get_mapping),
    ("PUT", "/v1/applications/([^/]+)/mappings/([^/]+)", MAPPING, FakeMappings.put_mapping),
    ("DELETE", "/v1/applications/([^/]+)/mappings/([^/]+)", (), FakeMappings.delete_mapping),
    ("GET", "/v1/applications/([^/]+)/credentials", (), FakeMappings.get_credentials),
    ("GET", "/v1/applications/([^/]+)/unit-credentials", (), FakeMappings.list_unit_credentials),
    ("GET", UNIT_CREDENTIAL, (), FakeMappings.get_unit_credential),
    ("PUT", UNIT_CREDENTIAL, ("config", "field"), FakeMappings.put_unit_credential),
    ("DELETE", UNIT_CREDENTIAL, (), FakeMappings.delete_unit_credential),
]
