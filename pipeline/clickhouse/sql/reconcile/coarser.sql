-- Buckets of width seconds in [start, end) of which `target` does not say what the next finer rollup, `source`, says.
WITH expected AS
(
    SELECT
        org_id,
        toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC') AS bucket_start,
        sent, delivered, failed, cost_cents AS cost, facts, rank_sum AS ranks
    FROM {source:Identifier} FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
-- include pieces/differing_totals.sql
