"""Each release says what it migrates and how to go back."""

import re

from deploy.migrations.apply import read_migrations
from tests.support.engine import ROOT

TEXT = (ROOT / "deploy" / "UPGRADING.md").read_text()
RELEASES = dict(re.findall(r"^## (\S+)\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL))
ADDS = re.compile(r"CREATE TABLE |ALTER TABLE \w+\s+(ADD (COLUMN|INDEX) IF NOT EXISTS|MODIFY (TTL|SETTING))", re.ASCII)


def test_this_version_has_a_note_and_every_note_says_how_to_go_back() -> None:
    version = re.findall(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert set(version) <= set(RELEASES)
    for release, note in RELEASES.items():
        assert re.search(r"^- Downgrade: \S", note, re.MULTILINE), release


def test_every_migration_belongs_to_a_release() -> None:
    named = [number for note in RELEASES.values() for number in re.findall(r"\b(0\d{3})\b", note)]
    assert sorted(named) == [f"{migration.number:04}" for migration in read_migrations()]


def test_a_migration_only_adds_so_that_the_version_before_goes_on() -> None:
    """And may be run again, where it was interrupted before it was noted."""
    for migration in read_migrations():
        for statement in migration.statements:
            assert ADDS.match(statement), f"{migration.name}: {statement.splitlines()[0]}"
