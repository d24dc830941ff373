-- Never ahead of ClickHouse's clock, which may have been ahead itself when it was written. In epoch milliseconds.
SELECT toUnixTimestamp64Milli(least(as_of, now)) AS as_of_ms, generation, toUnixTimestamp64Milli(now) AS now_ms
FROM (SELECT max(as_of) AS as_of, max(generation) AS generation, now64(3, 'UTC') AS now FROM watermark)
