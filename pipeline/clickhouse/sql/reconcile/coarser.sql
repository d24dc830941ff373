-- Buckets of width seconds in [start, end) in which `target` differs from the next finer rollup, `source`.
WITH expected AS
(
    SELECT
        org_id,
        toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC') AS bucket_start,
        sent, delivered, failed, charged, cost_cents AS cost, facts, rank_sum AS ranks
    FROM {source:Identifier} FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
-- include pieces/differing_totals.sql
