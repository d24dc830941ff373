"""Each release says what it migrates and how to go back."""

import re

from deploy.migrations.apply import read_migrations
from schemas.tables import SCHEMA
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
    lines = re.findall(r"^- Migrations: (.*)$", "\n".join(RELEASES.values()), re.MULTILINE)
    named = [number for line in lines for number in re.findall(r"\b(0\d{3})\b", line)]
    assert sorted(named) == [f"{migration.number:04}" for migration in read_migrations()]


def test_a_migration_only_adds_so_that_the_version_before_goes_on_or_needs_a_stop() -> None:
    """And may be run again, where it was interrupted before it was noted."""
    for migration in read_migrations():
        for statement in migration.statements:
            adds = ADDS.match(statement) is not None
            assert adds or migration.needs_a_stop, f"{migration.name}: {statement.splitlines()[0]}"


def test_a_migration_that_needs_a_stop_ends_who_knows_less_before_and_lets_the_new_begin_after() -> None:
    stopping = [migration for migration in read_migrations() if migration.needs_a_stop]
    for migration in stopping:
        raised = [s for s in migration.statements if s.startswith("INSERT INTO watermark")]
        begun, done = (
            f"INSERT INTO watermark ({name}) VALUES ({migration.number})" for name in ("schema", "schema_done")
        )
        assert raised == [begun, done], migration.name
        assert migration.statements[-1] == done
        assert migration.statements.index(begun) <= 1, "before anything else is changed"
    assert stopping[-1].number == SCHEMA
    notes = "".join(RELEASES.values())
    assert all(re.search(rf"^- Stop: .*\b{m.number:04}\b", notes, re.MULTILINE) for m in stopping)
