"""Envelopes around events: frames of a schema registry, CloudEvents, Connect's schema and payload, a string.

A new kind of envelope is a module here, a member of ``Envelope`` and its lines in ``layers``.
"""
