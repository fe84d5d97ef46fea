"""A real PostgreSQL of the tests' own: Debian's binaries, an unprivileged user, a unix socket in a temporary directory.

One with TLS listens on a port of 127.0.0.1 too, can have a standby, and so can fail over.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from pki import Authority
from waiting import wait_for

SUPERUSER = "ssod"
# What a crash would cost is nothing here.
SETTINGS = ("dynamic_shared_memory_type=mmap", "fsync=off", "full_page_writes=off", "max_connections=100")


def _binaries() -> Path:
    """The newest PostgreSQL that Debian has installed, or the one on the path."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: int(path.parts[-3]))
    on_path = shutil.which("postgres")
    if found:
        return found[-1].parent
    assert on_path is not None, "no PostgreSQL is installed: apt-get install postgresql"
    return Path(on_path).parent


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _unprivileged() -> str | None:
    """The user to become, as PostgreSQL refuses to be root; None when the tests are not root themselves."""
    if os.getuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres").pw_name
    except KeyError:
        return "nobody"


class Postgres:
    """One cluster. `url` makes a new, empty database in it. `of`: a standby of that one, which streams from it."""

    def __init__(self, tls: Authority | None = None, *, of: Postgres | None = None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="hf-pg-", dir="/dev/shm" if os.path.isdir("/dev/shm") else "/tmp"))
        self._bin = _binaries()
        self._user = _unprivileged()
        self._prefix: list[str] = []
        if self._user is not None:
            entry = pwd.getpwnam(self._user)
            os.chown(self.directory, entry.pw_uid, entry.pw_gid)
            self._prefix = ["/usr/bin/setpriv", f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--clear-groups"]
        self._data = self.directory / "data"
        self._log = self.directory / "log"
        self._process: subprocess.Popen[bytes] | None = None
        self._numbers = itertools.count(1)
        self.port = 5432
        self._settings = [*SETTINGS, "listen_addresses="]
        if tls is not None:
            self.port = free_port()
            certificate, key = tls.issue(self.directory, "db")
            if self._user is not None:
                for path in (certificate, key):
                    shutil.chown(path, self._user)
            self._settings = [*SETTINGS, "listen_addresses=127.0.0.1", f"port={self.port}", "ssl=on"]
            self._settings += [f"ssl_cert_file={certificate}", f"ssl_key_file={key}", "wal_receiver_timeout=2s"]
        if of is not None:
            source = f"host={of.directory} port={of.port} user={SUPERUSER}"
            self._run("pg_basebackup", "-D", str(self._data), "-d", source, "-X", "stream", "-c", "fast", "-R", "--no-sync")
            return
        self._run("initdb", "-D", str(self._data), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")

    def dump(self, name: str, file: Path) -> None:
        """As an operator would, by PostgreSQL's own tool."""
        self._as_client("pg_dump", "--format=custom", f"--file={file}", name)

    def restored(self, file: Path) -> str:
        """The URL of a new database that is what a dump holds."""
        url = self.url()
        self._as_client("pg_restore", "--single-transaction", f"--dbname={url.partition('@/')[2].partition('?')[0]}", str(file))
        return url

    def _as_client(self, program: str, *arguments: str) -> None:
        where = [f"--host={self.directory}", f"--port={self.port}", f"--username={SUPERUSER}"]
        done = subprocess.run([str(self._bin / program), *where, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [*self._prefix, str(self._bin / program), *arguments], cwd=self.directory, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def start(self) -> None:
        settings = [part for setting in self._settings for part in ("-c", setting)]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [*self._prefix, str(self._bin / "postgres"), "-D", str(self._data), "-k", str(self.directory), *settings],
                cwd=self.directory,
                stdout=log,
                stderr=log,
            )
        wait_for(self._answers, "PostgreSQL answers")

    def _answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, self._log.read_text()
        try:
            self.execute("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def stop(self) -> None:
        """At once, as a host that loses its power; what was committed is there at the next start."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(30)
            self._process = None

    def promote(self) -> None:
        """Makes the standby the primary."""
        self._run("pg_ctl", "promote", "-D", str(self._data), "-t", "30")

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self.directory)

    def _everyone(self) -> list[int]:
        assert self._process is not None
        children = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children").read_text().split()
        return [self._process.pid, *map(int, children)]

    def freeze(self) -> None:
        """Nothing answers and nothing refuses: what a host that has vanished looks like."""
        for pid in self._everyone():
            os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        for pid in self._everyone():
            os.kill(pid, signal.SIGCONT)

    def execute(self, statement: str, database: str = "postgres") -> None:
        directory = str(self.directory)
        with psycopg.connect(host=directory, port=self.port, dbname=database, user=SUPERUSER, autocommit=True) as connection:
            connection.execute(statement)  # type: ignore[call-overload]

    def value(self, question: str) -> object:
        """The one value of a query's one row."""
        with psycopg.connect(host=str(self.directory), port=self.port, dbname="postgres", user=SUPERUSER) as connection:
            row = connection.execute(question).fetchone()  # type: ignore[call-overload]
            return row[0] if row else None

    def url(self) -> str:
        """Of a new and empty database."""
        name = f"sso{next(self._numbers)}"
        self.execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def scratch_url(self) -> str:
        """Of a database that is emptied by the next caller: quicker than a new one, for whoever needs it in one test."""
        self.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")
        return self._url("postgres")

    def _url(self, name: str) -> str:
        # libpq sets `sslmode` aside on a unix socket; ssod's configuration asks for it always.
        return f"postgresql+psycopg://{SUPERUSER}@/{name}?host={self.directory}&sslmode=verify-full"


@contextmanager
def running_postgres() -> Iterator[Postgres]:
    """One that runs, and of which nothing is left afterwards."""
    cluster = Postgres()
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.remove()
