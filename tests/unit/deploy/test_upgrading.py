"""Each release says what it migrates and how to go back."""

import re

from deploy.migrations.apply import Migration, read_migrations
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
    """And may be run again, where it was interrupted before it was noted. What it fills, only newer versions read."""
    for migration in read_migrations():
        made = {match[1] for s in migration.statements if (match := re.match(r"CREATE TABLE (\w+)", s))}
        for statement in migration.statements:
            fills = (match := re.match(r"INSERT INTO (\w+)", statement)) is not None and match[1] in made
            adds = ADDS.match(statement) is not None or fills or statement == done(migration)
            assert adds or migration.needs_a_stop, f"{migration.name}: {statement.splitlines()[0]}"


def done(migration: Migration) -> str:
    """The statement by which those of a newer version know that they may begin."""
    return f"INSERT INTO watermark (schema_done) VALUES ({migration.number})"


def test_a_migration_that_needs_a_stop_ends_who_knows_less_before_and_lets_the_new_begin_after() -> None:
    stopping = [migration for migration in read_migrations() if migration.needs_a_stop]
    for migration in stopping:
        raised = [s for s in migration.statements if s.startswith("INSERT INTO watermark")]
        begun = f"INSERT INTO watermark (schema) VALUES ({migration.number})"
        assert raised == [begun, done(migration)], migration.name
        assert migration.statements[-1] == done(migration)
        assert migration.statements.index(begun) <= 1, "before anything else is changed"
    assert max(m.number for m in read_migrations() if m.statements[-1] == done(m)) == SCHEMA
    notes = "".join(RELEASES.values())
    assert all(re.search(rf"^- Stop: .*\b{m.number:04}\b", notes, re.MULTILINE) for m in stopping)
