-- Deletes rows of an erased organization: those of buckets from the floor of facts on, which can be computed again, and
-- those that were computed before the erasure was ordered. TARGET is the table; on a cluster the local table of every
-- shard. mutations_sync = 2 waits for all replicas.
ALTER TABLE TARGET
DELETE WHERE org_id = {org:String}
  AND (bucket >= fromUnixTimestamp64Milli({floor_ms:Int64}, 'UTC')
    OR computed_at <= fromUnixTimestamp64Milli({ordered_ms:Int64}, 'UTC'))
SETTINGS mutations_sync = 2
