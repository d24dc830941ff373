-- The number of events in [start, end), by id and type, that were sent for more than one minute, in a sample of one in `parts`.
-- A hash stands for the identity, so that memory does not depend on how long ids are; one thread holds one table of
-- them. No FINAL: the same event inserted twice lies in the same minute.
SELECT count()
FROM
(
    SELECT cityHash64(org_id, event_id, toInt8(type)) AS identity
    FROM facts
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND cityHash64(org_id, event_id, toInt8(type)) % {parts:UInt32} = 0
    GROUP BY identity
    HAVING min(minute) < max(minute)
)
SETTINGS max_threads = 1
