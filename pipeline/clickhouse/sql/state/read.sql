-- The rising scalars, and what this server is and says what time it is. ClickHouse may not have merged older rows yet,
-- hence max(). Facts are complete since what is stored, and since the first day that their retention has not touched:
-- they are dropped by whole days, and `margin` (seconds) covers a server whose clock differs from this one's. A clock
-- that was set back does not bring them back: it was as_of at least.
SELECT
    toUnixTimestamp64Milli(as_of),
    toUnixTimestamp64Milli(closing),
    toUnixTimestamp64Milli(greatest(
        facts_floor,
        toDateTime64(
            toStartOfDay(
                greatest(now64(3, 'UTC'), as_of) + toIntervalSecond({margin:UInt32}) - toIntervalDay({days:UInt32}),
                'UTC'
            ) + toIntervalDay(1),
            3, 'UTC'
        )
    )),
    generation,
    schema,
    schema_done,
    toUnixTimestamp64Milli(now64(3, 'UTC')),
    hostName()
FROM
(
    SELECT
        max(as_of) AS as_of,
        max(closing) AS closing,
        max(facts_floor) AS facts_floor,
        max(generation) AS generation,
        max(schema) AS schema,
        max(schema_done) AS schema_done
    FROM watermark
)
