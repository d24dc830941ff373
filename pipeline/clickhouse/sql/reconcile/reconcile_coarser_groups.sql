-- The same by (channel, error code). Rows in which small pairs were folded into the key `other` are left to the totals.
SELECT
    org_id,
    toUnixTimestamp(coarse),
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
        toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC') AS coarse,
        g.channel::String AS channel,
        g.error_code::String AS error_code,
        g.sent AS sent, g.delivered AS delivered, g.failed AS failed, g.cost_cents AS cost,
        true AS is_expected
    FROM {source:Identifier} FINAL
    ARRAY JOIN groups AS g
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    UNION ALL
    SELECT org_id, bucket, g.channel::String, g.error_code::String, g.sent, g.delivered, g.failed, g.cost_cents, false
    FROM {target:Identifier} FINAL
    ARRAY JOIN groups AS g
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
)
WHERE (org_id, coarse) NOT IN
(
    SELECT org_id, bucket
    FROM {target:Identifier} FINAL
    WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND has(groups.channel, {other:String})
)
GROUP BY org_id, coarse, channel, error_code
HAVING sumIf(sent, is_expected) != sumIf(sent, NOT is_expected)
    OR sumIf(delivered, is_expected) != sumIf(delivered, NOT is_expected)
    OR sumIf(failed, is_expected) != sumIf(failed, NOT is_expected)
    OR sumIf(cost, is_expected) != sumIf(cost, NOT is_expected)
ORDER BY org_id, coarse, channel, error_code
LIMIT {limit:UInt32}
