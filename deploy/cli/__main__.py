"""``python -m deploy.cli`` is ``msgmetrics``."""

from deploy.cli.main import main

main()
