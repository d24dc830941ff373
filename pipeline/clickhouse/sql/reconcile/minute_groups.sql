-- Like minute.sql, by (channel, error code).
WITH expected AS
(
    SELECT
        org_id,
        minute AS bucket_start,
        channel::String AS channel,
        error_code::String AS error_code,
        countIf(type = 'message.sent') AS sent,
        countIf(type = 'message.delivered') AS delivered,
        countIf(type = 'message.failed') AS failed,
        countIf(type = 'message.charged') AS charged,
        sum(cost_cents) AS cost
    FROM facts FINAL
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
    GROUP BY org_id, minute, channel, error_code
)
-- include pieces/differing_groups.sql
