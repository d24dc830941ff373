-- Minutes in [start, end) in which the rollup, `target`, differs from the facts.
WITH expected AS
(
    SELECT
        org_id,
        minute AS bucket_start,
        countIf(type = 'message.sent') AS sent,
        countIf(type = 'message.delivered') AS delivered,
        countIf(type = 'message.failed') AS failed,
        countIf(type = 'message.charged') AS charged,
        sum(cost_cents) AS cost,
        count() AS facts,
        sum(rank) AS ranks
    FROM facts FINAL
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    GROUP BY org_id, minute
)
-- include pieces/differing_totals.sql
