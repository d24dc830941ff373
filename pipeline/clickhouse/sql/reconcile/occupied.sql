-- Which steps of `step` seconds, counted from `start`, have a row of `source` or of the rollup `target` in [start, end).
-- `source` is the next finer rollup, or the facts, whose times stand in another `column`. Without FINAL: a row that
-- another replaces is looked at in vain, none is missed.
SELECT DISTINCT number
FROM
(
    SELECT DISTINCT intDiv(toUnixTimestamp({column:Identifier}) - {start:UInt32}, {step:UInt32}) AS number
    FROM {source:Identifier}
    WHERE {column:Identifier} >= toDateTime({start:UInt32}, 'UTC')
      AND {column:Identifier} < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    UNION ALL
    SELECT DISTINCT intDiv(toUnixTimestamp(bucket) - {start:UInt32}, {step:UInt32}) AS number
    FROM {target:Identifier}
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
ORDER BY number
