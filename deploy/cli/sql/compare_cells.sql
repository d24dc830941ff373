-- Numbers of an organization by day and channel, of buckets that start in [start, end) (epoch seconds). A day is named by
-- its start, one of the ascending `starts`. A folded bucket has the rest of its groups under a channel of its own.
SELECT
    roundDown(toUnixTimestamp(bucket), {starts:Array(UInt32)}) AS day_start,
    g.channel::String AS channel,
    sum(g.sent),
    sum(g.delivered),
    sum(g.failed),
    sum(g.cost_cents)
FROM {table:Identifier} FINAL
ARRAY JOIN groups AS g
WHERE org_id = {org:String}
  AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
GROUP BY day_start, channel
ORDER BY day_start, channel
