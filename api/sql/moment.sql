-- How far aggregation has come (0 before the first watermark), ClickHouse's now, and the newest resync of an organization
-- or of all (0 before the first), in epoch milliseconds.
SELECT
    {nonce:UInt64},
    as_of_ms,
    now_ms,
    (SELECT toUnixTimestamp64Milli(max(at)) FROM resyncs WHERE org_id IN ('', {org_id:String}))
FROM
(
    -- include shared/as_of.sql
)
