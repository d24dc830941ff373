-- One metric of one organization over [start, end): pairs of a bucket's start in epoch seconds and its value.
SELECT {nonce:UInt64}, groupArray((toUnixTimestamp(bucket), {metric:Identifier}))
FROM {table:Identifier} FINAL
WHERE org_id = {org_id:String}
  AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
