-- Like totals.sql, summed by channel or error code ('' is none): one entry per bucket and key that has any of it. Where
-- costs and credits of a key cancel out, its entry is 0.
SELECT {nonce:UInt64}, groupArray((start, key, total))
FROM
(
    SELECT toUnixTimestamp(bucket) AS start, key, sum(value) AS total
    FROM {table:Identifier} FINAL
    ARRAY JOIN {keys:Identifier} AS key, {values:Identifier} AS value
    WHERE org_id = {org_id:String} AND value != 0
      AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
    GROUP BY bucket, key
)
