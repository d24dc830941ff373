-- Raises scalars: ClickHouse keeps the maximum of each, so zeros and older values change nothing. One that was ahead of
-- the time would stay so until the time has come, hence least(); of one time, or as_of might pass closing.
INSERT INTO watermark (as_of, closing, facts_floor, generation)
SELECT
    least(fromUnixTimestamp64Milli({as_of_ms:Int64}, 'UTC'), now),
    least(fromUnixTimestamp64Milli({closing_ms:Int64}, 'UTC'), now),
    fromUnixTimestamp64Milli({facts_floor_ms:Int64}, 'UTC'),
    {generation:UInt32}
FROM (SELECT now64(3, 'UTC') AS now)
