-- Producers' violations in [start, end): one event id of an organization in several minutes, and so counted more
-- than once. The identities are checked in `parts` portions, of which this is one.
SELECT
    org_id,
    event_id,
    groupArray(10)(toUnixTimestamp64Milli(occurred_at)) AS times,
    groupArray(10)((partition, offset)) AS places
FROM
(
    SELECT org_id, event_id, occurred_at, partition, offset
    FROM facts FINAL
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
      AND cityHash64(org_id, event_id) % {parts:UInt32} = {part:UInt32}
    ORDER BY org_id, event_id, occurred_at
)
GROUP BY org_id, event_id
HAVING count() > 1
ORDER BY org_id, event_id
LIMIT {limit:UInt32}
