-- Stores an erasure, and when it was ordered; it may have been before, and reach less far.
INSERT INTO erasures (org_id, at, ordered_at)
VALUES ({org:String}, fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC'), now64(3, 'UTC'))
