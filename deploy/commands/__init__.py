"""The commands of ``msgmetrics``, a file per concern. Each imports what it needs when it runs: --help stays quick."""
