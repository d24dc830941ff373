-- Stores an erasure, when it was ordered, and announces it: so it is known as unfinished from here on. It may have been
-- ordered before, and reach less far. Announcements rise even where the clock does not: by a microsecond at least.
INSERT INTO erasures (org_id, at, ordered_at, announced)
SELECT
    {org:String},
    fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC'),
    now64(3, 'UTC'),
    greatest(now64(6, 'UTC'), addMicroseconds(max(announced), 1))
FROM erasures
WHERE org_id = {org:String}
