"""The table of commands, from which the list of commands is printed without importing them."""

import subprocess
import sys

import click
import pytest

from deploy.cli.main import COMMANDS, cli
from tests.support.engine import ROOT

SLOW = {"aiokafka", "api", "clickhouse_connect", "confluent_kafka", "faust", "numpy", "pyarrow", "starlette", "tqdm"}


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_says_of_a_command_what_its_own_help_says(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name
    for width in range(10, 120):
        listed = click.Command(name, help=COMMANDS[name][1])
        assert listed.get_short_help_str(width) == command.get_short_help_str(width)


def test_help_imports_nothing_slow() -> None:
    script = (
        "import sys; from deploy.cli.main import cli; cli.main(['--help'], standalone_mode=False); "
        "print(*{name.split('.')[0] for name in sys.modules}, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(name in done.stdout for name in COMMANDS)
    assert not SLOW & set(done.stderr.split())
