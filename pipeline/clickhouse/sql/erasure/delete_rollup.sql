-- Deletes rows of an erased organization: those of buckets from the floor of facts on, which can be computed again, and
-- those that were computed before the erasure was ordered. TARGET is the table; on a cluster the local table of every
-- shard, where a server that is away is not waited for. The mark tells this deletion from others.
ALTER TABLE TARGET
DELETE WHERE org_id = {org:String}
  AND (bucket >= fromUnixTimestamp64Milli({floor_ms:Int64}, 'UTC')
    OR computed_at <= fromUnixTimestamp64Milli({ordered_ms:Int64}, 'UTC'))
  AND {mark:String} != ''
SETTINGS mutations_sync = 0, distributed_ddl_output_mode = 'throw_only_active'
