-- How many lines each organization has in the days of [start, end).
SELECT org_id, sum(length(groups.channel))
FROM rollup_day FINAL
WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
  AND ({org:String} = '' OR org_id = {org:String})
GROUP BY org_id
HAVING sum(length(groups.channel)) > 0
