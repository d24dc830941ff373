-- Announces an erasure. Announcements rise even where the clock does not: by a microsecond at least.
INSERT INTO erasures (org_id, at, announced)
SELECT
    {org:String},
    fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC'),
    greatest(now64(6, 'UTC'), addMicroseconds(max(announced), 1))
FROM erasures
WHERE org_id = {org:String}
