-- The lines of organizations in the days of [start, end), all of one moment.
SELECT
    org_id,
    toString(toDate(bucket, 'UTC')),
    g.channel::String,
    g.error_code::String,
    g.sent,
    g.delivered,
    g.failed,
    g.charged,
    g.cost_cents
FROM rollup_day FINAL
ARRAY JOIN groups AS g
WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
  AND org_id IN {orgs:Array(String)}
