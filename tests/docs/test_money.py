"""The clients' guide reads costs as they are written. The system that it is run on has none below zero."""

from decimal import Decimal
from pathlib import Path

from tests.docs.blocks import blocks
from tests.support.modules import modules

TEXTS = ("999999999999.999999", "-999999999999.999999", "0.000001", "-0.000001", "0.5", "-0.5", "-1.25", "-120", "0")


def test_the_guides_javascript_reads_and_writes_every_cost(tmp_path: Path) -> None:
    (program,) = [block.text for block in blocks("docs/clients.md") if block.language == "js"]
    code = program[program.index("const millionths") : program.index("const costs")]
    function = f"texts => {{ {code} return texts.map(text => [millionths(text), cents(millionths(text))]); }}"
    read = modules(tmp_path).run(function, TEXTS, ())
    assert [int(amount) for amount, _ in read] == [int(Decimal(text).scaleb(6)) for text in TEXTS]
    assert [text for _, text in read] == [f"{Decimal(text):.6f}" for text in TEXTS]


def test_the_guides_sum_of_costs_and_credits_is_written_right(tmp_path: Path) -> None:
    (program,) = [block.text for block in blocks("docs/clients.md") if block.language == "js"]
    table = "bucket_start,value\\r\\nT,0.5\\r\\nT,-0.75\\r\\nT,\\r\\nT,-1\\r\\n"
    code = program[program.index("const millionths") :].replace("console.log", "printed.push")
    assert modules(tmp_path).run(
        f'() => {{ const csv = "{table}", printed = []; {code} return printed; }}', names=()
    ) == ["-1.250000 cents"]
