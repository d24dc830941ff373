SELECT count()
FROM facts
WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
  AND ({org:String} = '' OR org_id = {org:String})
