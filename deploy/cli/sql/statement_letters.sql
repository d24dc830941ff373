-- Dead letters that name an organization, by its months. Their time is that of their event where it could be told, else
-- their record's.
SELECT org_id, formatDateTime(at, '%Y-%m', 'UTC') AS period, count()
FROM
(
    SELECT org_id, if(toUnixTimestamp64Milli(occurred_at) > 0, occurred_at, record_at) AS at
    FROM dead_letters FINAL
    WHERE org_id != '' AND ({org:String} = '' OR org_id = {org:String})
)
GROUP BY org_id, period
