-- Marks an erasure as finished for all that was announced up to here, and for no later announcement.
INSERT INTO erasures (org_id, finished) VALUES ({org:String}, fromUnixTimestamp64Micro({announcement:Int64}, 'UTC'))
