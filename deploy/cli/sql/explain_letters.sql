-- The dead letters that name an event, or contain its id in bytes that could not be decoded.
SELECT topic, partition, offset, reason, detail, toUnixTimestamp64Milli(record_at)
FROM dead_letters FINAL
WHERE (org_id = {org:String} AND event_id = {event:String})
   OR (event_id = '' AND position(value, {event:String}) > 0)
ORDER BY record_at
LIMIT 20
