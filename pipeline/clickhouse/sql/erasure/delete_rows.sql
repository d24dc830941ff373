-- Deletes facts or dead letters of an erased organization. TARGET is the table; on a cluster the local table of every
-- shard, where a server that is away is not waited for. The mark tells this deletion from others.
ALTER TABLE TARGET
DELETE WHERE org_id = {org:String}
  AND record_at <= fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC')
  AND {mark:String} != ''
SETTINGS mutations_sync = 0, distributed_ddl_output_mode = 'throw_only_active'
