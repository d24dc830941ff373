"""``msgmetrics statements``: months that were billed, as documents."""

import click

from deploy.cli.statement_exporting import statements_export
from deploy.cli.statement_keeping import statements_erase, statements_import
from deploy.cli.statement_making import statements_adjust, statements_close, statements_resume
from deploy.cli.statement_reading import statements_diff, statements_list, statements_show
from deploy.cli.statement_verifying import statements_verify


@click.group()
def statements() -> None:
    """Months that were billed, as documents that can be proved; docs/money.md says how to bill by them."""


for _command in (
    statements_adjust,
    statements_close,
    statements_diff,
    statements_erase,
    statements_export,
    statements_import,
    statements_list,
    statements_resume,
    statements_show,
    statements_verify,
):
    statements.add_command(_command)
