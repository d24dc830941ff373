-- The part of [start, end) that is scanned, counted back from its end: the minute from which on there are at most
-- `limit` facts, how many these are, and how many there are in the whole span.
SELECT toUnixTimestamp(minIf(bucket, running <= {limit:UInt64})), maxIf(running, running <= {limit:UInt64}), max(running)
FROM
(
    SELECT bucket, sum(sum(facts)) OVER (ORDER BY bucket DESC) AS running
    FROM rollup_minute FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
    GROUP BY bucket
)
