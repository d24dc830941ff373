-- Which steps of `step` seconds, counted from `start`, have a fact or a minute's row in [start, end). Without FINAL: a
-- row that another replaces is looked at in vain, none is missed.
SELECT DISTINCT number
FROM
(
    SELECT DISTINCT intDiv(toUnixTimestamp(minute) - {start:UInt32}, {step:UInt32}) AS number
    FROM facts
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    UNION ALL
    SELECT DISTINCT intDiv(toUnixTimestamp(bucket) - {start:UInt32}, {step:UInt32}) AS number
    FROM {target:Identifier}
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
ORDER BY number
