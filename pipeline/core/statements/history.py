"""Statements as they are stored: revisions of which several may claim to be the same one, and the one that counts.

ClickHouse has no unique key, so two commands at once may both append revision 3. The row with the least
(``stated_at``, hash) is the revision, or the one that revision 4 names as the one before; others are void for ever.
``stated_at`` is the time at which the insert began, so one that is still under way may turn out to be the least: a
revision is firm when those that began before it have ended, and only on firm ones the next is built.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from pipeline.core.statements.document import Head, Lines, hash_of
from schemas.period import Period

US_PER_MS = 1000


@dataclass(frozen=True, slots=True)
class Statement:
    """A stored revision, without its document.

    ``stated_at_us`` is in epoch microseconds. ``previous`` is the hash of the revision before, '' of the first one.
    ``as_of_ms`` is how far aggregation had come when its numbers were read, 0 of an imported one.
    """

    org_id: str
    period: str
    revision: int
    stated_at_us: int
    sha256: str
    previous: str
    partial: bool
    as_of_ms: int
    generation: int
    software: str

    @property
    def stated_at_ms(self) -> int:
        """The same in epoch milliseconds, as instants are compared and shown."""
        return self.stated_at_us // US_PER_MS


@dataclass(frozen=True, slots=True)
class Draft:
    """A revision to be appended, with its document."""

    head: Head
    document: bytes
    as_of_ms: int = 0
    generation: int = 0

    @property
    def sha256(self) -> str:
        return hash_of(self.document)


Account = tuple[str, str]
"""An organization and the name of a period: what revisions are numbered in."""


@dataclass(frozen=True, slots=True)
class History:
    """The revisions of one organization's month that count, by number; those that do not are void."""

    revisions: Mapping[int, Statement]
    void: Sequence[Statement] = ()

    @property
    def newest(self) -> Statement:
        return self.revisions[max(self.revisions)]


def histories(statements: Iterable[Statement]) -> dict[Account, History]:
    """The history of every account that has one. The same document, appended twice, is one revision."""
    found: dict[Account, dict[int, list[Statement]]] = {}
    for statement in statements:
        revisions = found.setdefault((statement.org_id, statement.period), {})
        revisions.setdefault(statement.revision, []).append(statement)
    return {account: _history(found[account]) for account in sorted(found)}


def _history(claims: Mapping[int, Sequence[Statement]]) -> History:
    count, named = dict[int, Statement](), ""
    for revision in sorted(claims, reverse=True):
        same = sorted(claims[revision], key=_claim)
        count[revision] = next((s for s in same if s.sha256 == named), same[0])
        named = count[revision].previous
    void = [s for revision, same in sorted(claims.items()) for s in same if s.sha256 != count[revision].sha256]
    return History(count, tuple(sorted(void, key=_claim)))


def _claim(statement: Statement) -> tuple[int, str]:
    return statement.stated_at_us, statement.sha256


# -- effects --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ReadStatable:
    """Answers Statable of a period; of one organization where named."""

    period: Period
    org_id: str = ""


@dataclass(frozen=True, slots=True)
class Statable:
    """The beginning of rollups (epoch milliseconds; None where there is none), and how many lines organizations have.

    Rollups begin with the first minute of anybody, or the first month that was stated as not partial.
    """

    first_ms: int | None
    lines: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class ReadLines:
    """Answers the lines of organizations in a period, read at one moment; without those that have none."""

    period: Period
    org_ids: tuple[str, ...]


LinesByOrganization = Mapping[str, Lines]


@dataclass(frozen=True, slots=True)
class ReadRestored:
    """Answers when the database was restored from a backup without anybody having said since that all statements are
    there (epoch milliseconds); 0 where there is nothing to say."""


@dataclass(frozen=True, slots=True)
class ReadStatements:
    """Answers all stored statements, as a tuple; of a period and of an organization where named."""

    period: str = ""
    org_id: str = ""


@dataclass(frozen=True, slots=True)
class ReadDocuments:
    """Answers the documents of statements, by their hashes."""

    statements: tuple[Statement, ...]


@dataclass(frozen=True, slots=True)
class AppendStatements:
    """Store drafts: all of them, or none."""

    drafts: tuple[Draft, ...]


@dataclass(frozen=True, slots=True)
class EraseStatements:
    """Delete an organization's statements of months before ``first_kept``, a name like 2026-10."""

    org_id: str
    first_kept: str


@dataclass(frozen=True, slots=True)
class ReadStating:
    """Answers UnderWay: inserts of statements that may have begun before ``newest_us`` (epoch microseconds)."""

    newest_us: int


StatementEffect = (
    ReadStatable
    | ReadLines
    | ReadRestored
    | ReadStatements
    | ReadDocuments
    | AppendStatements
    | ReadStating
    | EraseStatements
)
