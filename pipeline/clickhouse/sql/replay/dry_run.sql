-- For one day of a dry run (its start in epoch seconds): the number of identities, and how many of them are facts.
SELECT count(), countIf((minute, org_id, event_id, type) IN
(
    SELECT minute, org_id, event_id, toInt8(type)
    FROM facts
    WHERE minute >= toDateTime({day:UInt32}, 'UTC') AND minute < toDateTime({day:UInt32} + 86400, 'UTC')
))
FROM
(
    SELECT DISTINCT minute, org_id, event_id, type
    FROM replay_keys
    WHERE batch = {batch:UUID}
      AND minute >= toDateTime({day:UInt32}, 'UTC') AND minute < toDateTime({day:UInt32} + 86400, 'UTC')
)
