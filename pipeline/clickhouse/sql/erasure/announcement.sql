-- The newest announcement of an organization in epoch microseconds, and when its erasure was ordered in epoch
-- milliseconds; 0 where there is none.
SELECT toUnixTimestamp64Micro(max(announced)), toUnixTimestamp64Milli(max(ordered_at))
FROM erasures
WHERE org_id = {org:String}
