-- How much of [start, end) can be looked at: from which minute on there are at most `limit` facts, how many, and how
-- many there are in all.
SELECT toUnixTimestamp(minIf(bucket, running <= {limit:UInt64})), maxIf(running, running <= {limit:UInt64}), max(running)
FROM
(
    SELECT bucket, sum(sum(facts)) OVER (ORDER BY bucket DESC) AS running
    FROM rollup_minute FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
    GROUP BY bucket
)
