-- An upper bound of the facts in [start, end): without FINAL, since it only sets the number of portions.
SELECT count()
FROM facts
WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
  AND ({org:String} = '' OR org_id = {org:String})
