"""The production shape under load on this machine."""
