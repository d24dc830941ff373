-- The number of keys of a batch that are there, and stay for longer than any statement takes: their table forgets them an
-- hour after they were staged, each replica on its own.
SELECT uniqExact(minute, org_id)
FROM recompute_keys
WHERE batch = {batch:UUID} AND created_at > now('UTC') - toIntervalMinute(30)
