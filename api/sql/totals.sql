-- One metric of one organization over [start, end), bucket starts in epoch seconds.
SELECT toUnixTimestamp(bucket), {metric:Identifier}
FROM {table:Identifier} FINAL
WHERE org_id = {org_id:String}
  AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
