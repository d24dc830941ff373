-- Like occupied_minutes.sql, for rows of `target` or of the next finer rollup, `source`.
SELECT DISTINCT number
FROM
(
    SELECT DISTINCT intDiv(toUnixTimestamp(bucket) - {start:UInt32}, {step:UInt32}) AS number
    FROM {source:Identifier}
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    UNION ALL
    SELECT DISTINCT intDiv(toUnixTimestamp(bucket) - {start:UInt32}, {step:UInt32}) AS number
    FROM {target:Identifier}
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
ORDER BY number
