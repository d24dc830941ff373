-- Like changed_totals.sql, summed by channel or error code ('' is none): one entry per bucket and key that has any of it.
-- The first pair of a row is kept whatever it has, so that a bucket that was emptied has an entry, of 0.
SELECT {nonce:UInt64}, groupArray((start, updated, key, total))
FROM
(
    SELECT start, updated, key, sum(value) AS total
    FROM
    (
        SELECT
            toUnixTimestamp(bucket) AS start,
            toUnixTimestamp(computed_at) AS updated,
            {keys:Identifier} AS keys,
            {values:Identifier} AS values
        -- include pieces/changed_rows.sql
    )
    LEFT ARRAY JOIN keys AS key, values AS value, arrayEnumerate(values) AS nth
    WHERE value != 0 OR nth <= 1
    GROUP BY start, updated, key
)
