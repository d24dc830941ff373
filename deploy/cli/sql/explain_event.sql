-- The facts of an event id of an organization.
SELECT toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(record_at), type::String, topic::String,
    partition, offset
FROM facts FINAL
WHERE org_id = {org:String} AND event_id = {event:String}
ORDER BY occurred_at, type
