-- The facts of an organization in [start, end), of one type or of all (''), in the order in which they happened.
SELECT
    event_id, type::String, channel::String, error_code::String, cost_cents,
    toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(record_at), topic::String, partition,
    offset
FROM facts FINAL
WHERE org_id = {org:String}
  AND minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
  AND ({type:String} = '' OR type::String = {type:String})
ORDER BY occurred_at, event_id
LIMIT {limit:UInt32}
