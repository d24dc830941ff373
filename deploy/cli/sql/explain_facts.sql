-- The facts of an organization in [start, end), of a channel ('' for all): those of some types, and with any_cost those of
-- any type that have a cost. In the order in which they happened.
SELECT
    event_id, type::String, channel::String, error_code::String, cost_cents,
    toUnixTimestamp64Milli(occurred_at), toUnixTimestamp64Milli(record_at), topic::String, partition,
    offset
FROM facts FINAL
WHERE org_id = {org:String}
  AND minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
  AND ({channel:String} = '' OR channel::String = {channel:String})
  AND (has({types:Array(String)}, type::String) OR ({any_cost:UInt8} = 1 AND cost_cents != 0))
ORDER BY occurred_at, event_id
LIMIT {limit:UInt32}
