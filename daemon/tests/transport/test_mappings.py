"""Mappings, credentials and tickets through the API of a real ssod: who gets what, and why not."""

from __future__ import annotations

import json
import os
import pwd
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from edge import Files
from pki import Authority
from postgres import Postgres
from servers import Fleet, Server

from ssod.storage.migrations import migrate

ME = f"user:{pwd.getpwuid(os.getuid()).pw_name}"
SECRET = "canary-2d9e51"
FIELDS = [{"name": "password", "masked": True}, {"name": "pin", "masked": True}]
TICKETS = {"tickets_allowed": True, "tickets_validated": False}


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory, authority: Authority, postgres: Postgres) -> Iterator[Fleet]:
    url = postgres.url()
    migrate(url)
    fleet = Fleet(tmp_path_factory.mktemp("mappings"), authority, url)
    fleet.add("m1", administrators=["certificate:admin"])
    try:
        fleet.make_ready()
        yield fleet
    finally:
        fleet.stop()


@pytest.fixture(scope="module")
def issue(fleet: Fleet) -> Callable[[str], Files]:
    known: dict[str, Files] = {}

    def files(name: str) -> Files:
        if name not in known:
            directory = fleet.root / f"files-of-{name}"
            directory.mkdir()
            known[name] = fleet.authority.issue(directory, name)
        return known[name]

    return files


class Application:
    """An application of the test's own. `as_` is another caller, by certificate."""

    def __init__(self, server: Server, issue: Callable[[str], Files], name: str) -> None:
        self.server, self.issue, self.name = server, issue, name

    def make(self, kind: str = "individual", **more: Any) -> None:
        body = {"type": kind, "enabled": True, "fields": FIELDS, "users": [ME, "certificate:alice", "certificate:bob"], **more}
        self.server.ok("PUT", f"/v1/applications/{self.name}", body)

    def call(self, method: str, path: str, body: Any = None, *, as_: str | None = None) -> tuple[int, Any]:
        files = self.issue(as_) if as_ else None
        status, answer = self.server.call(method, f"/v1/applications/{self.name}{path}", body, files=files)
        return status, answer["type"].removeprefix("urn:holdfast:problem:") if status >= 400 else answer

    def map(self, principal: str, account: str, **more: Any) -> Any:
        return self.server.ok("PUT", f"/v1/applications/{self.name}/mappings/{principal}", {"external_id": account, **more})

    def ticket(self, as_: str | None = "alice") -> str:
        status, answer = self.call("POST", "/tickets", {}, as_=as_)
        assert status == 200, answer
        return str(answer["ticket"])

    def redeem(self, ticket: str, sender: str | None = None) -> tuple[int, Any]:
        path = f"/v1/applications/{self.name}/tickets/redeem"
        status, answer = self.server.call("POST", path, {"ticket": ticket, "sender": sender})
        return status, answer


@pytest.fixture
def app(fleet: Fleet, issue: Callable[[str], Files], request: pytest.FixtureRequest) -> Application:
    name = request.node.name.removeprefix("test_")[:100].replace("[", ".").replace("]", "")
    return Application(fleet["m1"], issue, name)


def test_a_mapping_is_created_replaced_and_deleted(app: Application) -> None:
    """Its answer says what changed by name; what is equal is left as it is; no answer has a value."""
    app.make()
    made = app.map("user:alice", "A1", credentials={"password": SECRET})
    assert (made["version"], made["enabled"], made["fields"], made["position"]) == (1, True, ["password"], 0)
    assert made["changes"]["added"] == ["password"]
    assert made["changes"]["mapping"] == ["external_id", "position", "disabled_by_user", "disabled_by_administrator"]
    again = app.map("user:alice", "A1", credentials={"password": SECRET})
    assert again == made | {"changes": {"added": [], "changed": [], "removed": [], "mapping": []}}
    changed = app.map("user:alice", "A2", credentials={"password": "other", "pin": SECRET}, if_version=1)
    assert changed["changes"] == {"added": ["pin"], "changed": ["password"], "removed": [], "mapping": ["external_id"]}
    status, listed = app.call("GET", "/mappings")
    assert (status, listed["next"], [each["principal"] for each in listed["mappings"]]) == (200, None, ["user:alice"])
    assert app.call("GET", "/mappings/user:alice")[1] == {key: changed[key] for key in listed["mappings"][0]}
    assert app.call("PUT", "/mappings/user:alice", {"external_id": "A3", "if_version": 1}) == (409, "version-conflict")
    assert app.call("DELETE", "/mappings/user:alice?dry_run=true") == (200, {"version": 2})
    assert app.call("DELETE", "/mappings/user:alice") == (200, {"version": 2})
    assert app.call("DELETE", "/mappings/user:alice") == (404, "mapping-not-found")
    assert SECRET not in json.dumps([made, again, changed, listed])


def test_a_dry_run_says_what_would_be_and_changes_nothing(app: Application) -> None:
    """The mapping as it would become, with the version that it has now."""
    app.make()
    body = {"external_id": "A", "credentials": {"password": SECRET}}
    status, would_be = app.call("PUT", "/mappings/user:alice?dry_run=true", body)
    assert (status, would_be["version"], would_be["updated_at"], would_be["enabled"]) == (200, 0, None, True)
    assert app.call("GET", "/mappings/user:alice") == (404, "mapping-not-found")
    load = {"mappings": [body | {"principal": "user:alice"}]}
    assert app.call("POST", "/mappings/load?dry_run=true", load) == (200, {"created": 1, "changed": 0, "unchanged": 0})
    assert app.call("GET", "/mappings")[1] == {"mappings": [], "next": None}


def test_a_mapping_without_credentials_is_disabled_until_it_gets_some(app: Application) -> None:
    """Unless its administrator says otherwise; and credentials given later do not lift what was disabled by hand."""
    app.make()
    assert app.map("certificate:alice", "A")["disabled_by_administrator"]
    assert app.map("certificate:alice", "A", credentials={"pin": "1"})["enabled"]
    assert not app.map("certificate:alice", "A", disabled_by_administrator=True)["enabled"]
    assert not app.map("certificate:alice", "A", credentials={"pin": "2"})["enabled"]
    assert app.map("certificate:bob", "B", disabled_by_administrator=False)["enabled"]
    assert not app.map("user:carol", "C", disabled_by_administrator=True, credentials={"pin": "1"})["enabled"]


def test_pages_follow_each_other(app: Application) -> None:
    """`next` is what to give as `after`; null at the end."""
    app.make()
    load = {"mappings": [{"principal": f"user:u{n}", "external_id": f"A{n}"} for n in range(5)]}
    assert app.call("POST", "/mappings/load", load) == (200, {"created": 5, "changed": 0, "unchanged": 0})
    seen, after = [], ""
    for _ in range(4):
        answer = app.call("GET", f"/mappings?limit=2&after={after}")[1]
        seen += [each["principal"] for each in answer["mappings"]]
        after = answer["next"]
        if after is None:
            break
    assert seen == [f"user:u{n}" for n in range(5)]
    assert [each["principal"] for each in app.call("GET", "/mappings?external_id=A3")[1]["mappings"]] == ["user:u3"]
    for limit in ("0", "1001", "x", "-1", "%D9%A1", "99999999999999999999", ""):
        assert app.call("GET", f"/mappings?limit={limit}") == (400, "malformed-request")


def test_a_load_is_all_or_nothing_and_its_conditions_name_principals(app: Application) -> None:
    """What is wrong with any of them keeps all of them out."""
    app.make()
    good = {"principal": "user:a", "external_id": "A", "credentials": {"password": SECRET}}
    for bad, status, name in [
        ({"principal": "user:b", "external_id": "A"}, 409, "external-id-taken"),
        ({"principal": "user:b", "external_id": "B", "credentials": {"unknown": "x"}}, 422, "invalid-value"),
        ({"principal": "group:b", "external_id": "B"}, 422, "invalid-value"),
        ({"principal": "nobody", "external_id": "B"}, 422, "invalid-value"),
        ({"principal": "user:a", "external_id": "B"}, 422, "invalid-value"),
    ]:
        path = f"/v1/applications/{app.name}/mappings/load"
        found, answer = app.server.call("POST", path, {"mappings": [good, bad]})
        assert (found, answer["type"].rpartition(":")[2]) == (status, name)
        assert answer["conditions"][0].split(": ")[0] in (bad["principal"], good["principal"])
        assert SECRET not in json.dumps(answer)
    assert app.call("GET", "/mappings")[1]["mappings"] == []
    assert app.call("POST", "/mappings/load", {"mappings": [good]}) == (200, {"created": 1, "changed": 0, "unchanged": 0})
    again = {"mappings": [good, {"principal": "user:b", "external_id": "B"}]}
    assert app.call("POST", "/mappings/load", again) == (200, {"created": 1, "changed": 0, "unchanged": 1})
    other = {"mappings": [good | {"credentials": {"password": "new"}}, {"principal": "user:b", "external_id": "B"}]}
    assert app.call("POST", "/mappings/load", other) == (200, {"created": 0, "changed": 1, "unchanged": 1})


def test_an_account_belongs_to_one_principal_of_an_individual_application(app: Application) -> None:
    """The second who wants it is told whose it is."""
    app.make()
    app.map("user:alice", "A")
    status, answer = app.server.call("PUT", f"/v1/applications/{app.name}/mappings/user:bob", {"external_id": "A"})
    assert (status, answer["type"].rpartition(":")[2]) == (409, "external-id-taken")
    assert "A is the account of user:alice" in answer["detail"]


def test_everybody_is_given_his_own_credentials_and_nobody_another_s(app: Application) -> None:
    """By certificate and by Unix user; an administrator who is no user of the application gets none at all."""
    app.make()
    app.map("certificate:alice", "A", credentials={"password": SECRET, "pin": "1"})
    app.map(ME, "M", credentials={"password": "mine"})
    status, answer = app.call("GET", "/credentials", as_="alice")
    assert status == 200
    assert (answer["principal"], answer["external_id"]) == ("certificate:alice", "A")
    assert answer["credentials"] == {"password": SECRET, "pin": "1"}
    assert (answer["application"], len(answer["key_id"]), answer["cached_at"]) == (app.name, 32, None)
    assert app.call("GET", "/credentials")[1]["credentials"] == {"password": "mine"}
    assert app.call("GET", "/credentials", as_="bob") == (404, "mapping-not-found")
    assert app.call("GET", "/credentials", as_="admin") == (403, "forbidden")
    assert app.call("GET", "/credentials", as_="stranger") == (403, "forbidden")


def test_a_disabled_mapping_says_by_whom(app: Application) -> None:
    """By its user, by an administrator, or by both; and one without credentials says that."""
    app.make()
    path = f"/v1/applications/{app.name}/credentials"
    app.map(ME, "M", disabled_by_administrator=False)
    assert app.call("GET", "/credentials") == (409, "no-credentials")
    app.map(ME, "M", credentials={"pin": "1"}, disabled_by_administrator=True)
    assert "disabled by an administrator" in app.server.refused("GET", path)["detail"]
    app.server.ok("PUT", f"/v1/applications/{app.name}/mapping", {"enabled": False})
    refusal = app.server.refused("GET", path)
    assert (refusal["status"], refusal["type"]) == (403, "mapping-disabled")
    assert "disabled by its user and by an administrator" in refusal["detail"]
    app.map(ME, "M", disabled_by_administrator=False)
    assert "disabled by its user" in app.server.refused("GET", path)["detail"]
    app.server.ok("PUT", f"/v1/applications/{app.name}/mapping", {"enabled": True})
    assert app.call("GET", "/credentials")[0] == 200


def test_a_disabled_application_gives_nothing(app: Application) -> None:
    """No credentials, no tickets; its mappings can still be managed."""
    app.make(flags=TICKETS)
    app.map(ME, "M", credentials={"pin": "1"})
    ticket = app.ticket(None)
    app.make(flags=TICKETS, enabled=False)
    assert app.call("GET", "/credentials") == (403, "application-disabled")
    assert app.call("POST", "/tickets", {}) == (403, "application-disabled")
    assert app.call("POST", "/tickets/redeem", {"ticket": ticket}) == (403, "application-disabled")
    app.map(ME, "M2")


def test_the_first_match_of_a_group_application_counts(app: Application) -> None:
    """By position; a disabled one refuses, and does not give the next one's account."""
    app.make("group")
    group = next(iter(app.server.config.read_text().partition('sso_administrators = ["')[2].split('"')))
    app.map(group, "shared", position=2, credentials={"pin": "2"})
    app.map(ME, "special", position=1, credentials={"pin": "1"})
    app.map("certificate:alice", "remote", position=0, credentials={"pin": "0"})
    assert app.call("GET", "/credentials")[1]["external_id"] == "special"
    assert app.call("GET", "/credentials", as_="alice")[1]["external_id"] == "remote"
    app.map(ME, "special", position=1, disabled_by_administrator=True)
    assert app.call("GET", "/credentials") == (403, "mapping-disabled")
    app.map(ME, "special", position=3, disabled_by_administrator=True)
    assert app.call("GET", "/credentials")[1]["external_id"] == "shared"


def test_a_host_group_knows_hosts(app: Application) -> None:
    """Over TLS the certificate's name; at the socket the server's own."""
    app.make("host_group")
    app.map("certificate:m1", "local", credentials={"pin": "1"})
    app.map("certificate:alice", "remote", credentials={"pin": "2"})
    assert app.call("GET", "/credentials")[1]["external_id"] == "local"
    assert app.call("GET", "/credentials", as_="alice")[1]["external_id"] == "remote"
    assert app.call("GET", "/credentials", as_="bob") == (404, "mapping-not-found")


def test_a_configuration_store_has_no_credentials(app: Application) -> None:
    """Neither mappings nor anybody's credentials."""
    app.make("config_store")
    assert app.call("PUT", "/mappings/user:a", {"external_id": "A"}) == (422, "invalid-value")
    assert app.call("GET", "/credentials") == (422, "invalid-value")
    assert app.call("PUT", "/mapping", {"external_id": "A"}) == (422, "invalid-value")


def test_a_user_manages_his_own_mapping_alone(app: Application) -> None:
    """He makes, changes, disables and deletes it, and cannot undo what an administrator did."""
    app.make()
    assert app.call("GET", "/mapping", as_="alice") == (404, "mapping-not-found")
    assert app.call("PUT", "/mapping", {"credentials": {"pin": "1"}}, as_="alice") == (422, "invalid-value")
    status, made = app.call("PUT", "/mapping", {"external_id": "A", "credentials": {"pin": "1"}}, as_="alice")
    assert (status, made["principal"], made["enabled"], made["version"]) == (200, "certificate:alice", True, 1)
    assert app.call("PUT", "/mapping", {"credentials": {"pin": "2"}}, as_="alice")[1]["changes"]["changed"] == ["pin"]
    assert not app.call("PUT", "/mapping", {"enabled": False}, as_="alice")[1]["enabled"]
    assert app.call("PUT", "/mapping", {"enabled": True}, as_="alice")[1]["enabled"]
    app.map("certificate:alice", "A", disabled_by_administrator=True)
    disabled = app.call("PUT", "/mapping", {"enabled": True, "credentials": {"pin": "3"}}, as_="alice")[1]
    assert (disabled["enabled"], disabled["disabled_by_administrator"]) == (False, True)
    assert app.call("DELETE", "/mapping", as_="alice") == (403, "mapping-disabled")
    app.map("certificate:alice", "A", disabled_by_administrator=False)
    assert app.call("DELETE", "/mapping?dry_run=true", as_="alice")[0] == 200
    assert app.call("DELETE", "/mapping", as_="alice")[0] == 200
    for method, path, body in [
        ("GET", "/mappings", None),
        ("GET", "/mappings/certificate:alice", None),
        ("PUT", "/mappings/certificate:alice", {"external_id": "A"}),
        ("DELETE", "/mappings/certificate:alice", None),
        ("POST", "/mappings/load", {"mappings": [{"principal": "user:a", "external_id": "A"}]}),
        ("POST", "/tickets/redeem", {"ticket": "hft1."}),
    ]:
        assert app.call(method, path, body, as_="alice") == (403, "forbidden"), (method, path)
    assert app.call("GET", "/mapping", as_="admin") == (403, "forbidden")


def test_a_user_does_not_learn_whose_an_account_is(app: Application) -> None:
    """That it is taken is all that he is told."""
    app.make()
    app.map("certificate:bob", "B")
    path = f"/v1/applications/{app.name}/mapping"
    status, refused = app.server.call("PUT", path, {"external_id": "B"}, files=app.issue("alice"))
    assert (status, refused["type"]) == (409, "urn:holdfast:problem:external-id-taken")
    assert "bob" not in json.dumps(refused)


def test_where_the_account_is_all_that_is_given_no_user_chooses_his_own(app: Application) -> None:
    """An application without fields: its administrators say whose account is whose, and a look-up needs no credentials."""
    app.make(fields=[])
    assert app.call("PUT", "/mapping", {"external_id": "boss"}, as_="alice") == (403, "forbidden")
    app.map("certificate:alice", "clerk", disabled_by_administrator=False)
    assert app.call("PUT", "/mapping", {"external_id": "boss"}, as_="alice") == (403, "forbidden")
    assert app.call("PUT", "/mapping", {"external_id": "clerk", "enabled": True}, as_="alice")[0] == 200
    answer = app.call("GET", "/credentials", as_="alice")[1]
    assert (answer["external_id"], answer["credentials"], answer["key_id"]) == ("clerk", {}, "")


def test_a_ticket_is_redeemed_for_the_credentials_of_its_caller(app: Application) -> None:
    """Whoever redeems it gets what its caller would; the sender, where one is named, must be that caller."""
    app.make(flags=TICKETS)
    app.map("certificate:alice", "A", credentials={"password": SECRET})
    ticket = app.ticket()
    assert ticket.startswith("hft1.")
    status, answer = app.redeem(ticket)
    assert (status, answer["principal"], answer["credentials"]) == (200, "certificate:alice", {"password": SECRET})
    assert app.redeem(ticket, "certificate:alice")[0] == 200
    status, answer = app.redeem(ticket, "certificate:bob")
    assert (status, answer["type"].rpartition(":")[2]) == (422, "ticket-rejected")
    assert "the sender is not the one" in answer["detail"]


def test_a_validated_application_wants_the_sender(app: Application) -> None:
    """Without a sender nothing is redeemed."""
    app.make(flags=TICKETS | {"tickets_validated": True})
    app.map("certificate:alice", "A", credentials={"pin": "1"})
    ticket = app.ticket()
    assert "no sender was named" in app.redeem(ticket)[1]["detail"]
    assert app.redeem(ticket, "certificate:alice")[0] == 200


def test_a_ticket_for_single_use_counts_once(app: Application) -> None:
    """A rejected attempt uses nothing up."""
    app.make(flags=TICKETS | {"tickets_single_use": True})
    app.map("certificate:alice", "A", credentials={"pin": "1"})
    ticket = app.ticket()
    assert app.redeem(ticket, "certificate:bob")[0] == 422
    assert app.redeem(ticket)[0] == 200
    status, answer = app.redeem(ticket)
    assert (status, answer["type"].rpartition(":")[2]) == (422, "ticket-rejected")
    assert "redeemed already" in answer["detail"]


def test_a_ticket_of_another_application_or_an_altered_one_is_rejected(app: Application) -> None:
    """As is a value in a ticket's place, and a ticket in a value's."""
    app.make(flags=TICKETS)
    app.map("certificate:alice", "A", credentials={"pin": "1"})
    other = Application(app.server, app.issue, app.name[:50] + ".other")
    other.make(flags=TICKETS)
    ticket = app.ticket()
    value = app.server.ok("POST", "/v1/encrypt", {"application": app.name, "context": "c", "plaintext": ""})["ciphertext"]
    altered = ticket[:-10] + ("A" if ticket[-10] != "A" else "B") + ticket[-9:]
    for bad in (other.ticket(), altered, ticket[:-4], ticket + "A", "", "hft1.", value, "hft1." + value[4:], ticket.upper()):
        status, answer = app.redeem(bad)
        assert (status, answer["type"].rpartition(":")[2]) == (422, "ticket-rejected"), bad
    body = {"application": app.name, "context": "c", "ciphertext": ticket}
    assert app.server.call("POST", "/v1/decrypt", body)[0] == 422


def test_tickets_are_issued_only_where_they_are_allowed(app: Application) -> None:
    """And one that was issued before is not redeemed any more; nor is one whose caller may not use the application now."""
    app.make()
    assert app.call("POST", "/tickets", {}, as_="alice") == (403, "tickets-not-allowed")
    app.make(flags=TICKETS)
    app.map("certificate:alice", "A", credentials={"pin": "1"})
    ticket = app.ticket()
    app.make(flags=TICKETS | {"tickets_allowed": False})
    assert app.call("POST", "/tickets/redeem", {"ticket": ticket}) == (403, "tickets-not-allowed")
    app.make(flags=TICKETS, users=[ME])
    assert app.call("POST", "/tickets/redeem", {"ticket": ticket}) == (403, "forbidden")
    app.make(flags=TICKETS)
    assert app.call("POST", "/tickets/redeem", {"ticket": ticket})[0] == 200
    assert app.call("POST", "/tickets", {}, as_="admin") == (403, "forbidden")


def test_a_ticket_carries_the_groups_of_its_caller(app: Application) -> None:
    """A group application is redeemed by the caller's groups, not by those of whoever redeems."""
    app.make("group", flags=TICKETS)
    app.map("certificate:alice", "hers", credentials={"pin": "1"})
    app.map(ME, "mine", credentials={"pin": "2"})
    assert app.redeem(app.ticket())[1]["external_id"] == "hers"
    assert app.redeem(app.ticket(None))[1]["external_id"] == "mine"


def test_every_disclosure_and_change_is_audited_and_no_value_is(app: Application) -> None:
    """With caller, object and key; the log and the audit log have no credential."""
    app.make(flags=TICKETS)
    made = app.map("certificate:alice", "A", credentials={"password": SECRET})
    guess = {"external_id": "A", "credentials": {"password": SECRET + "?"}}
    assert app.call("PUT", "/mappings/certificate:alice?dry_run=true", guess)[1]["changes"]["changed"] == ["password"]
    app.call("GET", "/credentials", as_="alice")
    app.redeem(app.ticket())
    app.call("DELETE", "/mappings/certificate:alice")
    lines = [json.loads(line) for line in app.server.audit.read_text().splitlines()]
    subject = f"{app.name}/certificate:alice"
    found = [(each["act"], each["caller"], each["subject"], each["key_id"]) for each in lines if app.name in each["subject"]]
    for act, caller, about, key in [
        ("change mapping", ME, subject, made["key_id"]),
        ("compare credentials", ME, subject, made["key_id"]),
        ("look up credentials", "certificate:alice", subject, made["key_id"]),
        ("issue ticket", "certificate:alice", app.name, made["key_id"]),
        ("redeem ticket", ME, subject, made["key_id"]),
        ("delete mapping", ME, subject, ""),
    ]:
        assert (act, caller, about, key) in found
    assert SECRET not in app.server.audit.read_text() + app.server.log.read_text()
