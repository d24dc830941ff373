"""Entry point of ``python -m deploy.cli``, which is ``msgmetrics``."""

from deploy.cli.main import main

main()
