"""The documents, held against the running system: every block of code is run, every link followed."""
