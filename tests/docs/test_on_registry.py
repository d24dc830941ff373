"""The programs that publish events in envelopes, on a real broker and with a real schema registry."""

import re

from tests.docs.stage import Stage
from tests.support.apicurio import Registry
from tests.support.system import System, wait_until

PUBLISHED = re.compile(r"^(.+) is at partition \d", re.MULTILINE)
COUNTED = {
    ("message.sent", "sms", "", "0.75"): 2,  # a CloudEvent in both modes, and Avro
    ("message.delivered", "email", "", "0"): 1,
    ("message.failed", "whatsapp", "unknown_number", "0"): 1,
    ("message.failed", "whatsapp", "30003", "0"): 1,
    ("message.sent", "sms", "", "0.581"): 1,
}
FACTS = "SELECT event_id, type, channel, error_code, toString(cost_cents) FROM facts FINAL WHERE org_id = 'acme'"


def test_every_program_for_an_envelope_is_counted_once(
    registry_system: tuple[System, Registry], registry_stage: Stage
) -> None:
    system, _ = registry_system
    published = set(PUBLISHED.findall(registry_stage.play("docs/envelopes.md")))
    wait_until("the events of all programs", lambda: len(system.query(FACTS)) >= len(published), 60)
    facts = system.query(FACTS)
    assert {str(fact[0]) for fact in facts} == published
    rows = [tuple(map(str, fact[1:])) for fact in facts]
    assert {row: rows.count(row) for row in rows} == COUNTED
    assert system.query("SELECT reason, detail FROM dead_letters") == []
