-- Like changed_totals.sql, summed by channel or error code ('' is none): one entry per bucket and key that has any of it.
-- A bucket without any, as one that was emptied, has one entry, of the key '' and 0.
SELECT {nonce:UInt64}, groupArray((start, updated, key, total))
FROM
(
    SELECT start, updated, key, sum(value) AS total
    FROM
    (
        SELECT
            toUnixTimestamp(bucket) AS start,
            toUnixTimestamp(computed_at) AS updated,
            arrayFilter((key, value) -> value != 0, {keys:Identifier}, {values:Identifier}) AS keys,
            arrayFilter(value -> value != 0, {values:Identifier}) AS values
        -- include pieces/changed_rows.sql
    )
    LEFT ARRAY JOIN keys AS key, values AS value
    GROUP BY start, updated, key
)
