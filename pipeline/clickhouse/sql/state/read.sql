-- The rising scalars. ClickHouse may not have merged older rows yet, hence max().
SELECT
    toUnixTimestamp64Milli(max(as_of)),
    toUnixTimestamp64Milli(max(closing)),
    toUnixTimestamp64Milli(max(facts_floor)),
    max(generation),
    max(schema),
    max(schema_done)
FROM watermark
