-- The groups in which `target` differs from `expected`, (org_id, bucket_start, channel, error_code, sent,
-- delivered, failed, charged, cost): both sides of every number, the expected one first. Buckets in which small pairs were
-- folded into the key `other` are left to the totals.
SELECT
    org_id,
    toUnixTimestamp(bucket_start),
    sumIf(sent, is_expected), sumIf(sent, NOT is_expected),
    sumIf(delivered, is_expected), sumIf(delivered, NOT is_expected),
    sumIf(failed, is_expected), sumIf(failed, NOT is_expected),
    sumIf(charged, is_expected), sumIf(charged, NOT is_expected),
    sumIf(cost, is_expected), sumIf(cost, NOT is_expected),
    channel,
    error_code
FROM
(
    SELECT org_id, bucket_start, channel, error_code, sent, delivered, failed, charged, cost, true AS is_expected
    FROM expected
    UNION ALL
    SELECT org_id, bucket, g.channel::String, g.error_code::String, g.sent, g.delivered, g.failed, g.charged, g.cost_cents, false
    FROM {target:Identifier} FINAL
    ARRAY JOIN groups AS g
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
WHERE (org_id, bucket_start) NOT IN
(
    SELECT org_id, bucket
    FROM {target:Identifier} FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND has(groups.channel, {other:String})
)
GROUP BY org_id, bucket_start, channel, error_code
HAVING sumIf(sent, is_expected) != sumIf(sent, NOT is_expected)
    OR sumIf(delivered, is_expected) != sumIf(delivered, NOT is_expected)
    OR sumIf(failed, is_expected) != sumIf(failed, NOT is_expected)
    OR sumIf(charged, is_expected) != sumIf(charged, NOT is_expected)
    OR sumIf(cost, is_expected) != sumIf(cost, NOT is_expected)
ORDER BY org_id, bucket_start, channel, error_code
LIMIT {limit:UInt32}
