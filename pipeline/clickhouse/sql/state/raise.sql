-- Raises scalars: ClickHouse keeps the maximum of each, so zeros and older values change nothing.
INSERT INTO watermark (as_of, closing, facts_floor, generation)
VALUES (
    fromUnixTimestamp64Milli({as_of_ms:Int64}, 'UTC'),
    fromUnixTimestamp64Milli({closing_ms:Int64}, 'UTC'),
    fromUnixTimestamp64Milli({facts_floor_ms:Int64}, 'UTC'),
    {generation:UInt32}
)
