-- ClickHouse's clock in epoch milliseconds.
SELECT toUnixTimestamp64Milli(now64(3))
