-- Deletes the identities of a dry run that has ended; TARGET is the table, on a cluster the local table of every shard.
-- Nobody waits for it.
ALTER TABLE TARGET DELETE WHERE batch = {batch:UUID}
