-- The first minute that a rollup has of anybody, and whether there is one. Where the organization whose it was is erased, a
-- month that was stated as not partial tells as much: it was not imported, as it has an `as_of`.
SELECT toUnixTimestamp(min(first)), count() > 0
FROM
(
    SELECT min(bucket) AS first FROM rollup_minute HAVING count() > 0
    UNION ALL
    SELECT min(toDateTime(concat(period, '-01 00:00:00'), 'UTC'))
    FROM statements
    WHERE revision = 1 AND NOT partial AND toUnixTimestamp64Milli(as_of) > 0
    HAVING count() > 0
)
