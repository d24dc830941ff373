-- ClickHouse's clock in epoch microseconds.
SELECT toUnixTimestamp64Micro(now64(6))
