-- TARGET is the table; on a cluster the local table of every shard. mutations_sync = 2 waits for all replicas.
ALTER TABLE TARGET
DELETE WHERE org_id = {org:String} AND record_at <= fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC')
SETTINGS mutations_sync = 2
