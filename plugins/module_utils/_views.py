# Copyright: (c) 2026, Holdfast maintainers
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Note that this module util is **PRIVATE** to the collection. It can change at any time.

"""Gives the daemon's answers the shape of the modules' options, so that what an info module returns can be given back.

A module and its info twin see a thing through the same function. Nothing is asked or decided here.
"""

from __future__ import annotations

import typing as t

from ansible_collections.holdfast.sso.plugins.module_utils._module import Fields


def secret_view(answer: t.Mapping[str, t.Any]) -> Fields:
    """GET /v1/secret as master_secret sees it."""
    view = {name: value for name, value in answer.items() if name != "keys"}
    # In a template, secret.keys is the method of every dictionary.
    coming = next((key["key_id"] for key in answer["keys"] if key["state"] == "next"), None)
    return {**view, "keyring": answer["keys"], "next_key_id": coming, "state": "present" if answer["current_key_id"] else "absent"}


def master_view(answer: t.Mapping[str, t.Any]) -> Fields:
    """GET /v1/master as master_server sees it. A mastership that cannot be confirmed is not an active one."""
    return {**answer, "state": "active" if answer["mastership"] == "active" else "inactive"}


def server_view(answer: t.Mapping[str, t.Any]) -> Fields:
    """One of GET /v1/servers as server sees it."""
    return {**answer, "state": "enrolled"}


def application_view(answer: t.Mapping[str, t.Any]) -> Fields:
    """APPLICATION as application sees it."""
    return {**answer, "state": "present"}


def role_view(answer: t.Mapping[str, t.Any]) -> Fields:
    """One of GET /v1/roles as sso_role sees it."""
    return {name: answer[name] for name in ("role", "members", "configured")}


def config_view(answer: t.Mapping[str, t.Any]) -> Fields:
    """GET /v1/applications/A/config/N as application_config sees it: without what is masked."""
    masked = list(answer["masked"])
    properties = {name: value for name, value in answer["properties"].items() if name not in masked}
    return {**answer, "properties": properties, "masked": masked, "state": "present"}


def mapping_view(application: str, answer: t.Mapping[str, t.Any]) -> Fields:
    """MAPPING as credential_mapping sees it: which credentials are set, by name, and no value."""
    return {"application": application, **answer, "state": "present"}


def unit_credential_view(answer: t.Mapping[str, t.Any]) -> Fields:
    """A unit's credential as unit_credential sees it: where its value is."""
    return {**{name: answer[name] for name in ("application", "unit", "credential", "config", "field")}, "state": "present"}
