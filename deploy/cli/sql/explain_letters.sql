-- The dead letters that name an event; then those that name no event, nor another organization, and contain its id.
SELECT
    topic, partition, offset, incarnation, type::String, reason, detail, toUnixTimestamp64Milli(record_at), cluster_id,
    event_id != '' AS is_named
FROM dead_letters FINAL
WHERE (org_id = {org:String} AND event_id = {event:String})
   OR (event_id = '' AND org_id IN ('', {org:String}) AND position(value, {event:String}) > 0)
ORDER BY is_named DESC, record_at, topic, partition, offset, incarnation
LIMIT {limit:UInt32}
