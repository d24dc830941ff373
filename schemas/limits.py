"""Limits that several processes must agree on."""

PARTITION_FETCH_BYTES = 512 * 1024
"""Compressed records of one partition that one fetch brings, to a worker as to a replay."""
FACTS_RETENTION_DAYS = 35
"""For how long facts are kept unless a setting says otherwise."""
LATE_PAUSE_SECONDS = 60.0
"""The longest pause between two recomputes of a late bucket unless a setting says otherwise."""
LONGEST_STATEMENT_SECONDS = 60
"""The time limit of every statement of ours, workers' and commands', is at most this: an erasure relies on it."""
LONGEST_INSERT_SECONDS = 2 * LONGEST_STATEMENT_SECONDS
"""An insert of ours has ended by then: on a cluster it may wait for its quorum as long again as it runs."""
SURELY_SEEN_SECONDS = 600
"""Rows of an insert are seen so long after it began, or never: it is over by then, though servers' clocks differ."""
