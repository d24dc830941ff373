-- Note since when facts are complete under a retention of so many days, which may have dropped those before.
-- Facts are dropped by day; the margin (seconds) is for those that are dropped while this runs. Without facts it is 0.
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
