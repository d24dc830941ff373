-- One metric of one organization in the buckets that have changed: a bucket's start, when it was computed, its value.
SELECT {nonce:UInt64}, groupArray((start, updated, value))
FROM
(
    SELECT toUnixTimestamp(bucket) AS start, toUnixTimestamp(computed_at) AS updated, {metric:Identifier} AS value
    -- include pieces/changed_rows.sql
)
