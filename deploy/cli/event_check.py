"""Every line of a file checked as a worker will: by its bytes, and by its time as far as that is certain."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from deploy.cli.event_file import LONGEST_LINE
from deploy.errors import CommandError
from pipeline.core.event import decode_event
from pipeline.core.refusal import excerpt, explain
from pipeline.core.watermark import retention_floor
from schemas.grain import MS_PER_SECOND
from schemas.instant import second
from schemas.message_event import MAX_EVENT_BYTES, TIME_BASED, DeadLetterReason
from schemas.settings import Settings

MAX_PROBLEMS_SHOWN = 20
TOO_LONG = f"the line is longer than {LONGEST_LINE} bytes; an event has at most {MAX_EVENT_BYTES}"


class Horizon:
    """The times that workers with these settings are sure to refuse, whenever they read an event that is sent now."""

    def __init__(self, settings: Settings, clock: Callable[[], int]) -> None:
        self._clock, self._now_ms = clock, clock()
        self._skew_seconds, self._days = settings.future_skew_seconds, settings.facts_retention_days
        self._floor_ms = retention_floor(self._now_ms, self._days)

    def refusal(self, occurred_at: str, occurred_ms: int) -> tuple[DeadLetterReason, str] | None:
        """Reason and sentence for a time that is sure to be refused; None for any other."""
        if occurred_ms < self._floor_ms:
            limit = f"before {second(self._floor_ms // MS_PER_SECOND)}, since when facts are kept"
            sentence = (
                f"occurred_at {excerpt(occurred_at)} is {limit} (MSGMETRICS_FACTS_RETENTION_DAYS is {self._days})"
            )
            return DeadLetterReason.TOO_LATE, sentence
        if self._is_ahead(occurred_ms):
            self._now_ms = self._clock()  # a pipe may have been read for hours
            if self._is_ahead(occurred_ms):
                sentence = (
                    f"occurred_at {excerpt(occurred_at)} is more than {self._skew_seconds:g} s ahead of this clock"
                )
                return DeadLetterReason.FUTURE_TIMESTAMP, sentence
        return None

    def _is_ahead(self, occurred_ms: int) -> bool:
        return occurred_ms > self._now_ms + int(self._skew_seconds * MS_PER_SECOND)


@dataclass(slots=True)
class Checked:
    """Lines by what becomes of them, and sentences for the first ones that keep the file from being sent.

    ``events`` are valid by their bytes. ``untimely``, by reason, are those among them whose time is sure to be refused;
    with ``anyway`` they are sent too.
    """

    anyway: bool
    events: int = 0
    bad: int = 0
    untimely: Counter[DeadLetterReason] = field(default_factory=Counter)
    problems: list[str] = field(default_factory=list)

    @property
    def in_the_way(self) -> int:
        """Number of lines that keep the file from being sent."""
        return self.bad + (0 if self.anyway else self.untimely.total())

    def note(self, number: int, reason: DeadLetterReason, sentence: str) -> None:
        """Count a line with a problem."""
        if reason in TIME_BASED:
            self.untimely[reason] += 1
        else:
            self.bad += 1
        if self.in_the_way > len(self.problems) < MAX_PROBLEMS_SHOWN:
            self.problems.append(f"line {number}: {reason}: {sentence}")

    @property
    def warning(self) -> str:
        """The sentence on events that are sure to be refused; '' where there are none."""
        if not self.untimely:
            return ""
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(self.untimely.items()))
        return f"{self.untimely.total()} of {self.events} events are sure to become dead letters ({reasons})"

    def refuse(self, title: str) -> None:
        """Raise CommandError with every problem unless there are events, and all of them may be sent."""
        if not self.events + self.bad:
            raise CommandError(f"{title} has no events; nothing was sent")
        if not self.in_the_way:
            return
        hidden = self.in_the_way - len(self.problems)
        more = [f"… and {hidden} more"] if hidden else []
        bad = [f"{self.bad} of {self.events + self.bad} lines are not events"] if self.bad else []
        untimely = [self.warning] if self.untimely else []
        choice = "; --anyway sends them all the same" if not self.bad else ""
        raise CommandError(
            "\n".join([*self.problems, *more, "; ".join([*untimely, *bad, "nothing was sent"]) + choice])
        )


def check(
    lines: Iterable[tuple[int, bytes]], horizon: Horizon, keep: Callable[[bytes], None] | None, *, anyway: bool
) -> Checked:
    """Check numbered lines, and keep the events, until one is found that keeps the file from being sent."""
    found = Checked(anyway)
    for number, line in lines:
        if len(line) > LONGEST_LINE:
            found.note(number, DeadLetterReason.TOO_LARGE, TOO_LONG)
            continue
        try:
            event, _, occurred_ms = decode_event(line)
        except Exception as error:
            found.note(number, *explain(error, line))
            continue
        found.events += 1
        if refusal := horizon.refusal(event.occurred_at, occurred_ms):
            found.note(number, *refusal)
        if keep and not found.problems:
            keep(line)
    return found
