-- The number of rows of a rollup in [start, end).
SELECT count()
FROM {target:Identifier} FINAL
WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
  AND ({org:String} = '' OR org_id = {org:String})
