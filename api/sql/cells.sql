-- How many rows groups.sql has for each bucket, without making them.
SELECT toUnixTimestamp(bucket), arrayUniq(arrayFilter((key, value) -> value != 0, {keys:Identifier}, {values:Identifier}))
FROM {table:Identifier} FINAL
WHERE org_id = {org_id:String}
  AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
