-- as_of, the generation, and ClickHouse's clock; instants in epoch milliseconds.
SELECT toUnixTimestamp64Milli(max(as_of)), max(generation), toUnixTimestamp64Milli(now64(3)) FROM watermark
