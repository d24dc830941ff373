"""How what is to be skipped is named."""

import pytest

from deploy.cli.skip import sentence, what_to_skip
from deploy.errors import Usage
from pipeline.core.place import Place
from pipeline.core.start import Gap
from pipeline.repair.loss import Loss
from tests.support.places import P0, TOPIC


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"{TOPIC}/3/1500", (Place(TOPIC, 3), 1500, None)),
        (f"{TOPIC}/3/1500-1519", (Place(TOPIC, 3), 1500, 1519)),
        (f"{TOPIC}/0/0-0", (P0, 0, 0)),
        ("another.topic-2_x/3/5", (Place("another.topic-2_x", 3), 5, None)),
        (f"{'t' * 249}/3/5", (Place("t" * 249, 3), 5, None)),
    ],
)
def test_offsets_are_named_like_dead_letters(text: str, found: tuple[Place, int, int | None]) -> None:
    assert what_to_skip(text, TOPIC) == found


@pytest.mark.parametrize(
    "text",
    ["", TOPIC, f"{TOPIC}/3", f"{TOPIC}/3/", f"{TOPIC}/3/-5", f"{TOPIC}/3/5-", f"{TOPIC}/3/5-6-7", f"{TOPIC}/x/5",
     f"{TOPIC}/3/٥", "../3/5", "./3/5", "ü/3/5", "a/b/3/5", "a\n/3/5", f"{'t' * 250}/3/5",
     f"{TOPIC}/3/5 ", f"{TOPIC}/3-4/5",
     f"{TOPIC}/3/{10**18}", f"{TOPIC}/{10**9}/5", f"{TOPIC}/3/5-{'9' * 5_000}"],
)  # fmt: skip
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Usage, match=f"like {TOPIC}/3/1500-1519; not"):
        what_to_skip(text, TOPIC)


def test_a_span_that_is_turned_round_is_refused() -> None:
    with pytest.raises(Usage, match="the last offset to skip, 4, is before the first, 5"):
        what_to_skip(f"{TOPIC}/3/5-4", TOPIC)


def test_what_is_about_to_be_left_out_is_said_with_its_number() -> None:
    loss = Loss(P0, 5, 9, "its checksum is wrong")
    where = f"partition {TOPIC}/0"
    assert sentence(loss, Gap(5, 9)) == f"{where}: offsets 5 to 8 (4) cannot be read: its checksum is wrong"
    assert sentence(loss, Gap(5, 6)) == f"{where}: offset 5 cannot be read: its checksum is wrong"
