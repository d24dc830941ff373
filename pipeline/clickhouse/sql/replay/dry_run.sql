-- For one day of a dry run (its start in epoch seconds): the number of identities, how many of them are facts, and how
-- often they were met.
SELECT
    count(),
    countIf((minute, org_id, event_id, type) IN
    (
        SELECT minute, org_id, event_id, toInt8(type)
        FROM facts
        WHERE minute >= toDateTime({day:UInt32}, 'UTC') AND minute < toDateTime({day:UInt32} + 86400, 'UTC')
    )),
    sum(times)
FROM
(
    SELECT minute, org_id, event_id, type, count() AS times
    FROM replay_keys
    WHERE batch = {batch:UUID}
      AND minute >= toDateTime({day:UInt32}, 'UTC') AND minute < toDateTime({day:UInt32} + 86400, 'UTC')
    GROUP BY minute, org_id, event_id, type
)
