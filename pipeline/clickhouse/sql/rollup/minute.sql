-- Computes the minutes in [start, end) from facts.
--   org      not '': of this organization alone
--   late     1: only the minutes that the batch of recompute keys names
--   rebuild  1: also minutes that have a row but should have none; they get an empty row
INSERT INTO rollup_minute
-- include pieces/rollup_columns.sql
WITH pairs AS
(
    SELECT
        org_id,
        minute AS bucket_start,
        channel,
        error_code,
        countIf(type = 'message.sent') AS sent,
        countIf(type = 'message.delivered') AS delivered,
        countIf(type = 'message.failed') AS failed,
        countIf(type = 'message.charged') AS charged,
        sum(cost_cents) AS cost,
        sum(rank) AS ranks,
        0 AS current -- facts have no generation
    FROM facts FINAL
    WHERE minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
      AND ({late:UInt8} = 0 OR (minute, org_id) IN
          (
              SELECT minute, org_id
              FROM recompute_keys
              WHERE batch = {batch:UUID}
                AND minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
          ))
    GROUP BY org_id, minute, channel, error_code
    UNION ALL
    -- An all-zero pair is left out of the groups, but its bucket gets a row.
    SELECT DISTINCT org_id, bucket, '', '', 0, 0, 0, 0, toDecimal128(0, 6), 0, 0
    FROM rollup_minute
    WHERE {rebuild:UInt8} = 1
      AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
),
-- include pieces/fold.sql
