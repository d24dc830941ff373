-- TARGET is the table, on a cluster its part of every shard.
ALTER TABLE TARGET DELETE WHERE org_id = {org:String} SETTINGS mutations_sync = 2
