"""Limits that several processes must agree on."""

PARTITION_FETCH_BYTES = 512 * 1024
"""Compressed records of one partition that one fetch brings, to a worker as to a replay."""
