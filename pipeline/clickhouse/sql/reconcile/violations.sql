-- Producers' violations in [start, end): an event of an organization, by its id and type, in several minutes, and so
-- counted more than once. The identities are checked in `parts` portions, of which this is one.
SELECT
    org_id,
    event_id,
    type::String,
    groupArray(10)(toUnixTimestamp64Milli(occurred_at)) AS times,
    groupArray(10)((topic, partition, offset)) AS places
FROM
(
    SELECT org_id, event_id, type, occurred_at, topic::String AS topic, partition, offset
    FROM facts FINAL
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
      AND cityHash64(org_id, event_id, toInt8(type)) % {parts:UInt32} = {part:UInt32}
    ORDER BY org_id, event_id, type, occurred_at
)
GROUP BY org_id, event_id, type
HAVING count() > 1
ORDER BY org_id, event_id, type
LIMIT {limit:UInt32}
