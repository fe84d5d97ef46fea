"""A real dump and a real backup of a real ssod: proved to belong together, and made the database of other servers."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyrage
import pytest
from pki import Authority
from postgres import Postgres
from servers import IDENTITY, OWN_GROUP, Fleet, Server, back_up
from sqlalchemy import create_engine, text
from waiting import wait_for

import ssod
from ssod.core.shares import split
from ssod.storage.recovery import EPOCHS_APART

CONFIGS = 5
PASSWORD = "the password that nobody prints"
PASSPHRASE = "a passphrase that nobody prints"


def ssoctl(*words: str | Path, stdin: bytes = b"") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "ssod.cli", *map(str, words)]
    environment = os.environ | {"PYTHONPATH": str(Path(ssod.__file__).parents[1]), "NO_COLOR": "1"}
    done = subprocess.run(command, env=environment, input=stdin, capture_output=True, check=False)
    out, err = done.stdout.decode(), done.stderr.decode()
    assert not [secret for secret in (PASSWORD, PASSPHRASE, str(IDENTITY)) if secret in out + err]
    return subprocess.CompletedProcess(command, done.returncode, out, err)


class Left:
    """An environment with values in it, and what a disaster leaves of it: a copy of its database, a backup, and what opens that."""

    def __init__(self, root: Path, fleet: Fleet, postgres: Postgres | None) -> None:
        self.root, self.fleet, self._postgres = root, fleet, postgres
        self.master = fleet["m1"]
        self.backup = root / "secret.age"
        self.identity = root / "identity"
        self.identity.write_text(f"# of the tests\n{IDENTITY}\n")
        self.identity.chmod(0o600)
        self.copy = ""

    def take(self) -> None:
        """As it is now. The dump first: the keyring has every key that the dump needs."""
        dump = self.root / f"dump{len(list(self.root.glob('dump*')))}"
        if self._postgres is None:
            done = ssoctl("database", "dump", "--config", self.master.config, "--output", dump)
            assert done.returncode == 0, done.stderr
            self.copy = f"sqlite:///{dump}"
        else:
            self._postgres.dump(self.fleet.url.partition("@/")[2].partition("?")[0], dump)
            self.copy = self._postgres.restored(dump)
        self.backup.write_bytes(back_up(self.master))

    def prove(self, *more: str | Path) -> subprocess.CompletedProcess[str]:
        return ssoctl("secret", "prove", self.backup, "--database", self.copy, "--identity-file", self.identity, *more)

    def proof(self) -> Any:
        done = self.prove("--json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    def recover(self, names: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        words = ["--database", self.copy, "--identity-file", self.identity, "--principals", "-", "--json"]
        return ssoctl("database", "recover", self.backup, *words, stdin=json.dumps(names or {}).encode())

    def change(self, statement: str) -> None:
        """Of the copy alone."""
        engine = create_engine(self.copy)
        with engine.begin() as connection:
            connection.execute(text(statement))
        engine.dispose()


def fill(server: Server) -> None:
    """Applications with configurations, a person's and a group's account, and none."""
    access = {"enabled": True, "administrators": ["group:old-admins"], "users": [OWN_GROUP, "group:old-users"]}
    fields = {"fields": [{"name": "password", "masked": True}]}
    server.ok("PUT", "/v1/applications/app", access | fields)
    server.ok("PUT", "/v1/applications/teams", access | fields | {"type": "group"})
    server.ok("PUT", "/v1/applications/empty", access)
    for number in range(CONFIGS):
        server.ok("PUT", f"/v1/applications/app/config/c{number}", {"properties": {"password": PASSWORD}})
    for principal in ("group:old-users", "user:somebody"):
        account = {"external_id": "account", "credentials": {"password": PASSWORD}}
        server.ok("PUT", f"/v1/applications/teams/mappings/{principal}", account)
    server.ok("PUT", "/v1/roles/sso_auditor", {"members": ["group:old-users"]})


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def environment(
    request: pytest.FixtureRequest, shared_fleet: Callable[..., Fleet], tmp_path_factory: pytest.TempPathFactory
) -> Left:
    """One for all tests of an engine, which leave it as it is: they change copies of it."""
    postgres = request.getfixturevalue("postgres") if request.param == "postgresql" else None
    made = shared_fleet("m1", url=postgres.url()) if postgres else shared_fleet("m1")
    fill(made["m1"])
    return Left(tmp_path_factory.mktemp("left"), made, postgres)


@pytest.fixture
def left(environment: Left) -> Left:
    environment.take()
    return environment


def test_a_dump_and_a_backup_prove_each_other_by_counts_alone(left: Left) -> None:
    """Every application is in it, also one without a value; a value is nowhere."""
    proof = left.proof()
    applications = {each["name"]: (each["values"], each["opened"]) for each in proof["applications"]}
    assert applications == {"app": (CONFIGS, CONFIGS), "teams": (2, 2), "empty": (0, 0)}
    assert (proof["values"], proof["opened"], proof["canaries"], proof["servers"]) == (CONFIGS + 2, CONFIGS + 2, 1, 1)
    assert proof["key_ids"] == proof["backup_key_ids"] == [proof["current_key_id"]]
    assert {"group:old-admins", "group:old-users", OWN_GROUP} == set(proof["principals"])
    told = left.prove("--sample", "2")
    assert f"4 of {CONFIGS + 2} values" in told.stdout


def test_a_value_that_was_changed_in_one_bit_is_named(left: Left) -> None:
    left.change("UPDATE config_value SET envelope = (SELECT envelope FROM config_value WHERE name = 'c1') WHERE name = 'c2'")
    done = left.prove()
    assert done.returncode == 1
    assert "do not open" in done.stderr
    assert "config/app/c2/password" in done.stderr


def test_files_that_do_not_belong_together_are_refused(left: Left, authority: Authority, tmp_path: Path) -> None:
    left.change("UPDATE environment SET id = '00000000-0000-4000-8000-000000000000'")
    for done in (left.prove(), left.recover()):
        assert done.returncode == 1
        assert "do not belong together" in done.stderr


def test_a_backup_that_was_changed_in_one_byte_is_refused(left: Left) -> None:
    content = bytearray(left.backup.read_bytes())
    content[-20] ^= 1
    left.backup.write_bytes(content)
    done = left.prove()
    assert (done.returncode, "cut off or altered" in done.stderr) == (1, True)


def test_a_passphrase_comes_by_standard_input(left: Left) -> None:
    """And is refused when it is not the one."""
    keyring = pyrage.decrypt(left.backup.read_bytes(), [IDENTITY])
    left.backup.write_bytes(pyrage.passphrase.encrypt(keyring, PASSPHRASE))
    words = ["secret", "prove", left.backup, "--database", left.copy, "--passphrase-file", "-"]
    assert ssoctl(*words, stdin=f"{PASSPHRASE}\n".encode()).returncode == 0
    wrong = ssoctl(*words, stdin=b"another passphrase\n")
    assert (wrong.returncode, "does not open with this passphrase" in wrong.stderr) == (1, True)


def test_enough_shares_prove_it_and_fewer_do_not(left: Left, tmp_path: Path) -> None:
    shares = [tmp_path / f"share{number}" for number in range(3)]
    for path, content in zip(shares, split(str(IDENTITY).encode(), 2, ["a", "b", "c"]), strict=True):
        path.write_bytes(content)
        path.chmod(0o600)
    words = ["secret", "prove", left.backup, "--database", left.copy, "--share-file"]
    assert ssoctl(*words, shares[2], "--share-file", shares[0]).returncode == 0
    one = ssoctl(*words, shares[1])
    assert (one.returncode, "2 shares are needed, 1 given" in one.stderr) == (1, True)


def test_a_copy_of_another_version_is_not_looked_at(left: Left) -> None:
    left.change("UPDATE alembic_version SET version_num = '0003'")
    done = left.prove()
    assert done.returncode == 1
    assert "ssoctl database migrate --database" in done.stderr


def test_a_copy_becomes_the_database_of_other_servers(left: Left, authority: Authority) -> None:
    """No master, no server, an epoch above all; groups have their new names, and their accounts open under them."""
    known = left.proof()["epoch"]
    done = left.recover({"group:old-users": "group:new-users", "group:old-admins": "group:new-admins"})
    assert done.returncode == 0, done.stderr
    taken = json.loads(done.stdout)
    assert taken["epoch"] == known + EPOCHS_APART
    assert (taken["removed_servers"], taken["moved_mappings"]) == (["m1"], 1)
    proof = left.proof()
    assert (proof["servers"], proof["opened"]) == (0, CONFIGS + 2)
    assert set(proof["principals"]) == {"group:new-admins", "group:new-users", OWN_GROUP}

    elsewhere = left.root / "elsewhere"
    elsewhere.mkdir()
    others = Fleet(elsewhere, Authority(), left.copy)
    try:
        others.add("n1", "s9")
        for server in others.servers:
            server.start()
        n1, s9 = others.servers
        n1.enrol()
        restored = {"backup": base64.b64encode(left.backup.read_bytes()).decode(), "identity": str(IDENTITY)}
        n1.ok("POST", "/v1/secret/restore", restored)
        n1.ok("POST", "/v1/master/activate", {})
        s9.enrol()
        wait_for(lambda: s9.status()["can_encrypt"], "s9 works")
        assert n1.status()["epoch"] > known + EPOCHS_APART
        for server in others.servers:
            config = server.ok("GET", "/v1/applications/app/config/c0?reveal=true")
            assert config["properties"] == {"password": PASSWORD}
        assert [each["name"] for each in n1.ok("GET", "/v1/status")["servers"]] == ["n1", "s9"]
        assert n1.ok("GET", "/v1/roles")["roles"][2]["members"] == ["group:new-users"]
    finally:
        others.stop()


def test_two_groups_that_become_one_are_refused_where_each_has_an_account(left: Left) -> None:
    left.master.ok("PUT", "/v1/applications/teams/mappings/group:other", {"external_id": "account"})
    left.take()
    done = left.recover({"group:old-users": "group:one", "group:other": "group:one"})
    assert done.returncode == 1
    assert "application teams: group:one" in done.stderr
    assert left.proof()["servers"] == 1, "and nothing of the copy was changed"


def test_a_principal_keeps_its_kind(left: Left) -> None:
    done = left.recover({"group:old-users": "user:somebody"})
    assert (done.returncode, "cannot become" in done.stderr) == (1, True)


def test_a_url_with_a_password_is_refused(left: Left) -> None:
    left.copy = "postgresql+psycopg://ssod:hunter2@/sso"
    done = left.prove()
    assert (done.returncode, "hunter2" in done.stderr) == (2, False)


def test_after_a_rotation_the_new_backup_opens_the_old_dump_and_not_the_other_way_round(left: Left) -> None:
    """And a sample has values under every key: what is still under a retired secret is not passed over."""
    first, old_backup, old_copy = left.proof()["current_key_id"], left.backup.read_bytes(), left.copy
    rotate(left.master)
    left.master.ok("PUT", "/v1/applications/app/config/new", {"properties": {"password": PASSWORD}})
    left.take()
    proof = left.proof()
    assert (proof["canaries"], proof["opened"]) == (2, proof["values"])
    assert f"3 of {proof['values']} values" in left.prove("--sample", "1").stdout
    new_backup, new_copy = left.backup.read_bytes(), left.copy
    left.copy = old_copy
    assert left.proof()["current_key_id"] == first != proof["current_key_id"]
    left.backup.write_bytes(old_backup)
    left.copy = new_copy
    for done in (left.prove(), left.recover()):
        assert done.returncode == 1
        assert "lacks a key that the database needs" in done.stderr
        assert "which is not in the backup" in done.stderr
    left.backup.write_bytes(new_backup)


def rotate(server: Server) -> None:
    """As far as the switch."""
    server.ok("POST", "/v1/secret/rotation/prepare", {})
    back_up(server)
    server.ok("POST", "/v1/secret/rotation/switch", {"timeout": 5})


def test_a_copy_is_brought_to_this_version_as_the_role_that_its_url_names(postgres: Postgres) -> None:
    """Whoever restores is PostgreSQL's administrator; what is in the database has to be ssod's."""
    postgres.execute("CREATE ROLE the_owner")
    url = postgres.url()
    name = url.partition("@/")[2].partition("?")[0]
    postgres.execute(f"ALTER DATABASE {name} OWNER TO the_owner")
    done = ssoctl("database", "migrate", "--database", f"{url}&options=-c%20role%3Dthe_owner")
    assert (done.returncode, done.stdout.split()[-1]) == (0, "changed"), done.stderr
    engine = create_engine(url)
    with engine.connect() as connection:
        assert connection.execute(
            text("SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'")
        ).scalars().all() == ["the_owner"]
    engine.dispose()
