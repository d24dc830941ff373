-- Microseconds since an instant (epoch microseconds), by ClickHouse's clock.
SELECT toUnixTimestamp64Micro(now64(6, 'UTC')) - {since_us:Int64}
