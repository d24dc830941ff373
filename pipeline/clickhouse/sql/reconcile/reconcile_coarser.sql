-- Buckets of width seconds in [start, end) of which `target` does not say what the next finer rollup, `source`, says.
SELECT
    org_id,
    toUnixTimestamp(coarse),
    sumIf(sent, is_expected), sumIf(sent, NOT is_expected),
    sumIf(delivered, is_expected), sumIf(delivered, NOT is_expected),
    sumIf(failed, is_expected), sumIf(failed, NOT is_expected),
    sumIf(cost_cents, is_expected), sumIf(cost_cents, NOT is_expected),
    sumIf(facts, is_expected), sumIf(facts, NOT is_expected),
    sumIf(rank_sum, is_expected), sumIf(rank_sum, NOT is_expected)
FROM
(
    SELECT
        org_id,
        toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC') AS coarse,
        sent, delivered, failed, cost_cents, facts, rank_sum,
        true AS is_expected
    FROM {source:Identifier} FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    UNION ALL
    SELECT org_id, bucket, sent, delivered, failed, cost_cents, facts, rank_sum, false
    FROM {target:Identifier} FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
GROUP BY org_id, coarse
HAVING sumIf(sent, is_expected) != sumIf(sent, NOT is_expected)
    OR sumIf(delivered, is_expected) != sumIf(delivered, NOT is_expected)
    OR sumIf(failed, is_expected) != sumIf(failed, NOT is_expected)
    OR sumIf(cost_cents, is_expected) != sumIf(cost_cents, NOT is_expected)
    OR sumIf(facts, is_expected) != sumIf(facts, NOT is_expected)
    OR sumIf(rank_sum, is_expected) != sumIf(rank_sum, NOT is_expected)
ORDER BY org_id, coarse
LIMIT {limit:UInt32}
