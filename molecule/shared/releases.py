"""Makes another release of the collection from this checkout: a later version, with one migration more."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from story import PROJECT

# What a release is made of, as far as a playbook needs it.
PARTS = ("galaxy.yml", "meta", "ocf", "extensions", "playbooks", "plugins", "roles", "scripts", "daemon")

MIGRATION = '''"""A column that only the next release knows."""

import sqlalchemy as sa
from alembic import op

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    op.add_column("environment", sa.Column("of_{revision}", sa.String(20)))
'''


class Release:
    """A collection on the disk; `version` and `revision` are those of its ssod and of the schema that it makes."""

    def __init__(self, collection: Path) -> None:
        self.collection = collection
        self._source = collection / "daemon" / "src" / "ssod"
        self.version = self._said("__init__.py", "__version__")
        self.revision = self._said("storage/schema.py", "REVISION")

    @property
    def collections(self) -> Path:
        """Where Ansible looks for collections."""
        return self.collection.parents[2]

    def _said(self, file: str, name: str) -> str:
        found = re.search(rf'^{name} = "(.*)"$', (self._source / file).read_text(encoding="utf-8"), re.MULTILINE)
        if found is None:
            raise LookupError(f"{name} is not in {file}")
        return found[1]

    def next(self, directory: Path, *, tolerates_this: bool = True) -> Release:
        """The release after this one, made in an empty directory."""
        made = directory / "ansible_collections" / "holdfast" / "sso"
        for part in PARTS:
            source, target = self.collection / part, made / part
            target.parent.mkdir(parents=True, exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__", "*.egg-info", ".*_cache", "tests", "benchmarks"))
            else:
                shutil.copyfile(source, target)
        major, minor = self.version.split(".")[:2]
        version, revision = f"{major}.{int(minor) + 1}.0", f"{int(self.revision) + 1:04}"
        for file in ("galaxy.yml", "daemon/pyproject.toml", "daemon/src/ssod/__init__.py"):
            _replace(made / file, self.version, version)
        source = made / "daemon" / "src" / "ssod" / "storage"
        _replace(source / "schema.py", f'REVISION = "{self.revision}"', f'REVISION = "{revision}"')
        migration = MIGRATION.format(revision=revision, before=self.revision)
        (source / "migrations" / "versions" / f"{revision}_next.py").write_text(migration, encoding="utf-8")
        if not tolerates_this:
            oldest = self._said("storage/migrations/__init__.py", "OLDEST_TOLERATED")
            _replace(source / "migrations" / "__init__.py", f'OLDEST_TOLERATED = "{oldest}"', f'OLDEST_TOLERATED = "{revision}"')
        return Release(made)


def this() -> Release:
    return Release(PROJECT / "collections" / "ansible_collections" / "holdfast" / "sso")


def _replace(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    if old not in text:
        raise LookupError(f"{old} is not in {file}")
    file.write_text(text.replace(old, new, 1), encoding="utf-8")
