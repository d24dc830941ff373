-- Computes the buckets of width seconds in [start, end) of `target` from the next finer rollup, `source`.
--   org      not '': of this organization alone
--   late     1: only the buckets with a minute of the batch of recompute keys that end at or before `closing` (epoch
--            seconds)
--   rebuild  1: also buckets that have a row but should have none; they get an empty row
-- The column generation holds stamps (pipeline/core/generation.py): the generation times 2048, and how much of that
-- generation is below.
INSERT INTO {target:Identifier}
-- include pieces/rollup_columns.sql
WITH pairs AS
(
    SELECT
        org_id,
        toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC') AS bucket_start,
        groups.channel AS channel,
        groups.error_code AS error_code,
        sum(groups.sent) AS sent,
        sum(groups.delivered) AS delivered,
        sum(groups.failed) AS failed,
        sum(groups.charged) AS charged,
        sum(groups.cost_cents) AS cost,
        -- The array join repeats a finer row's own columns: count them at its first group only.
        sumIf(rank_sum, place <= 1) AS ranks,
        sumIf(1 + generation % 2048, place <= 1 AND intDiv(generation, 2048) >= {generation:UInt32}) AS current
    FROM {source:Identifier} FINAL
    LEFT ARRAY JOIN groups, arrayEnumerate(groups.channel) AS place -- 0 in a row without groups, whose stamp counts
    -- PREWHERE may come before FINAL, since it looks at the key alone; the groups of other buckets are not read.
    PREWHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
      AND ({late:UInt8} = 0 OR (
          -- Implied by the next condition, but this one can use the sort key.
          org_id IN
          (
              SELECT org_id
              FROM recompute_keys
              WHERE batch = {batch:UUID}
                AND minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
          )
          AND (org_id, toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC')) IN
          (
              SELECT org_id, toStartOfInterval(minute, toIntervalSecond({width:UInt32}), 'UTC') AS late_bucket
              FROM recompute_keys
              WHERE batch = {batch:UUID}
                AND minute >= toDateTime({start:UInt32}, 'UTC') AND minute < toDateTime({end:UInt32}, 'UTC')
                AND toUnixTimestamp(late_bucket) + {width:UInt32} <= {closing:UInt32}
          )))
    GROUP BY org_id, bucket_start, channel, error_code
    UNION ALL
    -- An all-zero pair is left out of the groups, but its bucket gets a row.
    SELECT DISTINCT org_id, bucket, '', '', 0, 0, 0, 0, toDecimal128(0, 6), 0, 0
    FROM {target:Identifier}
    WHERE {rebuild:UInt8} = 1
      AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
      AND ({org:String} = '' OR org_id = {org:String})
),
-- include pieces/fold.sql
