"""Statements: a month that was billed, as documents that can be proved for ever."""
