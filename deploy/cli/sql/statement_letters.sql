-- Dead letters of [start, end) that name an organization, by organization. Their time is that of their event where it could
-- be told, else their record's.
SELECT org_id, count()
FROM
(
    SELECT org_id, if(toUnixTimestamp64Milli(occurred_at) > 0, occurred_at, record_at) AS at
    FROM dead_letters FINAL
    WHERE org_id != '' AND ({org:String} = '' OR org_id = {org:String})
)
WHERE at >= toDateTime({start:UInt32}, 'UTC') AND at < toDateTime({end:UInt32}, 'UTC')
GROUP BY org_id
