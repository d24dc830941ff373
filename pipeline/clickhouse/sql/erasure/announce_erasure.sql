-- An announcement rises even where the clock does not.
INSERT INTO erasures (org_id, at, announced)
SELECT
    {org:String},
    fromUnixTimestamp64Milli({at_ms:Int64}, 'UTC'),
    greatest(now64(6, 'UTC'), addMicroseconds(max(announced), 1))
FROM erasures
WHERE org_id = {org:String}
