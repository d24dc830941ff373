-- The number of entries that changed_groups.sql has for each bucket, without making them: pairs of a bucket's start and
-- that.
SELECT {nonce:UInt64}, groupArray((start, cells))
FROM
(
    SELECT
        toUnixTimestamp(bucket) AS start,
        arrayUniq(arrayFilter((key, value) -> value != 0, {keys:Identifier}, {values:Identifier})) AS cells
    -- include pieces/changed_rows.sql
)
