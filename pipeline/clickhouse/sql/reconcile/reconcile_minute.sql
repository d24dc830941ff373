-- Minutes in [start, end) of which the rollup does not say what the facts say: both sides of every number.
SELECT
    org_id,
    toUnixTimestamp(bucket),
    sumIf(sent, is_expected), sumIf(sent, NOT is_expected),
    sumIf(delivered, is_expected), sumIf(delivered, NOT is_expected),
    sumIf(failed, is_expected), sumIf(failed, NOT is_expected),
    sumIf(cost, is_expected), sumIf(cost, NOT is_expected),
    sumIf(facts, is_expected), sumIf(facts, NOT is_expected),
    sumIf(ranks, is_expected), sumIf(ranks, NOT is_expected)
FROM
(
    SELECT
        org_id,
        minute AS bucket,
        countIf(type = 'message.sent') AS sent,
        countIf(type = 'message.delivered') AS delivered,
        countIf(type = 'message.failed') AS failed,
        sum(cost_cents) AS cost,
        count() AS facts,
        sum(rank) AS ranks,
        true AS is_expected
    FROM facts FINAL
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    GROUP BY org_id, minute
    UNION ALL
    SELECT org_id, bucket, sent, delivered, failed, cost_cents, facts, rank_sum, false
    FROM rollup_minute FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
GROUP BY org_id, bucket
HAVING sumIf(sent, is_expected) != sumIf(sent, NOT is_expected)
    OR sumIf(delivered, is_expected) != sumIf(delivered, NOT is_expected)
    OR sumIf(failed, is_expected) != sumIf(failed, NOT is_expected)
    OR sumIf(cost, is_expected) != sumIf(cost, NOT is_expected)
    OR sumIf(facts, is_expected) != sumIf(facts, NOT is_expected)
    OR sumIf(ranks, is_expected) != sumIf(ranks, NOT is_expected)
ORDER BY org_id, bucket
LIMIT {limit:UInt32}
