-- How far aggregation has come, as every reader sees it: never ahead of ClickHouse's clock, which may have been ahead
-- itself when it was written. The generation, and that clock; instants in epoch milliseconds.
SELECT toUnixTimestamp64Milli(least(as_of, now)), generation, toUnixTimestamp64Milli(now)
FROM (SELECT max(as_of) AS as_of, max(generation) AS generation, now64(3, 'UTC') AS now FROM watermark)
