-- Like totals.sql, summed by channel or error code ('' is none): one row per bucket and key that has any of it.
SELECT toUnixTimestamp(bucket), key, sum(value)
FROM {table:Identifier} FINAL
ARRAY JOIN {keys:Identifier} AS key, {values:Identifier} AS value
WHERE org_id = {org_id:String} AND value != 0
  AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
GROUP BY bucket, key
