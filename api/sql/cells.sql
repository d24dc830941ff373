-- The number of entries that groups.sql has for each bucket, without making them: pairs of a bucket's start and that.
SELECT
    {nonce:UInt64},
    groupArray((
        toUnixTimestamp(bucket),
        arrayUniq(arrayFilter((key, value) -> value != 0, {keys:Identifier}, {values:Identifier}))
    ))
FROM {table:Identifier} FINAL
WHERE org_id = {org_id:String}
  AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
