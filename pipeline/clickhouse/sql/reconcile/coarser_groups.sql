-- Like coarser.sql, by (channel, error code).
WITH expected AS
(
    SELECT
        org_id,
        toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC') AS bucket_start,
        g.channel::String AS channel,
        g.error_code::String AS error_code,
        g.sent AS sent, g.delivered AS delivered, g.failed AS failed, g.charged AS charged, g.cost_cents AS cost
    FROM {source:Identifier} FINAL
    ARRAY JOIN groups AS g
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
-- include pieces/differing_groups.sql
