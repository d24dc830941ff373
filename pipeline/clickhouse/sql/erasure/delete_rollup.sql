-- TARGET is the table; on a cluster the local table of every shard. mutations_sync = 2 waits for all replicas.
ALTER TABLE TARGET DELETE WHERE org_id = {org:String} SETTINGS mutations_sync = 2
