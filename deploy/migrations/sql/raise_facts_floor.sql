-- Stores the time since which facts are complete under a retention of `days`; older ones may have been dropped.
-- Facts are dropped by day; `margin` (seconds) covers drops while this runs. Without facts the time is 0.
INSERT INTO watermark (facts_floor)
SELECT
    if(
        count() = 0,
        toDateTime64(0, 3, 'UTC'),
        toDateTime64(
            toStartOfDay(now('UTC') + {margin:UInt32} - toIntervalDay({days:UInt32}), 'UTC') + toIntervalDay(1), 3, 'UTC'
        )
    )
FROM facts
