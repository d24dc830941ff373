-- The same by (channel, error code). Rows in which small pairs were folded into the key `other` are left to the totals.
SELECT
    org_id,
    toUnixTimestamp(bucket),
    sumIf(sent, is_expected), sumIf(sent, NOT is_expected),
    sumIf(delivered, is_expected), sumIf(delivered, NOT is_expected),
    sumIf(failed, is_expected), sumIf(failed, NOT is_expected),
    sumIf(cost, is_expected), sumIf(cost, NOT is_expected),
    channel,
    error_code
FROM
(
    SELECT
        org_id,
        minute AS bucket,
        channel::String AS channel,
        error_code::String AS error_code,
        countIf(type = 'message.sent') AS sent,
        countIf(type = 'message.delivered') AS delivered,
        countIf(type = 'message.failed') AS failed,
        sum(cost_cents) AS cost,
        true AS is_expected
    FROM facts FINAL
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    GROUP BY org_id, minute, channel, error_code
    UNION ALL
    SELECT org_id, bucket, g.channel::String, g.error_code::String, g.sent, g.delivered, g.failed, g.cost_cents, false
    FROM rollup_minute FINAL
    ARRAY JOIN groups AS g
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
WHERE (org_id, bucket) NOT IN
(
    SELECT org_id, bucket
    FROM rollup_minute FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND has(groups.channel, {other:String})
)
GROUP BY org_id, bucket, channel, error_code
HAVING sumIf(sent, is_expected) != sumIf(sent, NOT is_expected)
    OR sumIf(delivered, is_expected) != sumIf(delivered, NOT is_expected)
    OR sumIf(failed, is_expected) != sumIf(failed, NOT is_expected)
    OR sumIf(cost, is_expected) != sumIf(cost, NOT is_expected)
ORDER BY org_id, bucket, channel, error_code
LIMIT {limit:UInt32}
