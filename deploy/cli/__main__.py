"""Entry point of ``msgmetrics``, which is also ``python -m deploy.cli``."""

import signal


def run() -> None:
    """Import the command and run it. Ctrl-C meanwhile ends the process at once, instead of with an import's trace."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    from deploy.cli.main import main

    main()


if __name__ == "__main__":
    run()
