-- How far aggregation has come, in epoch milliseconds; 0 before the first watermark.
SELECT {nonce:UInt64}, as_of_ms
FROM
(
    -- include shared/as_of.sql
)
