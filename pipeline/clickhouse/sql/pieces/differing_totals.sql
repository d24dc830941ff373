-- The totals in which `target` differs from `expected`, (org_id, bucket_start, sent, delivered, failed, charged,
-- cost, facts, ranks): both sides of every number, the expected one first. A bucket that one side lacks counts as 0 there.
SELECT
    org_id,
    toUnixTimestamp(bucket_start),
    sumIf(sent, is_expected), sumIf(sent, NOT is_expected),
    sumIf(delivered, is_expected), sumIf(delivered, NOT is_expected),
    sumIf(failed, is_expected), sumIf(failed, NOT is_expected),
    sumIf(charged, is_expected), sumIf(charged, NOT is_expected),
    sumIf(cost, is_expected), sumIf(cost, NOT is_expected),
    sumIf(facts, is_expected), sumIf(facts, NOT is_expected),
    sumIf(ranks, is_expected), sumIf(ranks, NOT is_expected)
FROM
(
    SELECT org_id, bucket_start, sent, delivered, failed, charged, cost, facts, ranks, true AS is_expected
    FROM expected
    UNION ALL
    SELECT org_id, bucket, sent, delivered, failed, charged, cost_cents, facts, rank_sum, false
    FROM {target:Identifier} FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
GROUP BY org_id, bucket_start
HAVING sumIf(sent, is_expected) != sumIf(sent, NOT is_expected)
    OR sumIf(delivered, is_expected) != sumIf(delivered, NOT is_expected)
    OR sumIf(failed, is_expected) != sumIf(failed, NOT is_expected)
    OR sumIf(charged, is_expected) != sumIf(charged, NOT is_expected)
    OR sumIf(cost, is_expected) != sumIf(cost, NOT is_expected)
    OR sumIf(facts, is_expected) != sumIf(facts, NOT is_expected)
    OR sumIf(ranks, is_expected) != sumIf(ranks, NOT is_expected)
ORDER BY org_id, bucket_start
LIMIT {limit:UInt32}
