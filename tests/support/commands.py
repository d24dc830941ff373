"""Every command of ``msgmetrics``, loaded, by the words that call it."""

from collections.abc import Iterator

import click

from deploy.cli.main import cli


def commands(group: click.Group, *words: str) -> Iterator[tuple[str, click.Command]]:
    """Every command of a group with its words, the groups themselves left out."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None, name
        if isinstance(command, click.Group):
            yield from commands(command, *words, name)
        else:
            yield " ".join((*words, name)), command


COMMANDS = dict(commands(cli))
