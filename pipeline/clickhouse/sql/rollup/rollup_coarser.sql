-- Computes the buckets of width seconds in [start, end) of `target` from the next finer rollup, `source`, of one
-- organization where org is not ''; with late = 1 only those that contain a minute of the batch of recompute keys and
-- end at or before `closing` (epoch seconds); with rebuild = 1 also those that have a row and should have none: they
-- get an empty one.
-- What is stored as generation is a stamp (pipeline/core/generation.py): the generation times 2048, and what
-- of that generation it was computed from. Pairs are folded as in rollup_minute.sql.
INSERT INTO {target:Identifier}
(
    org_id, bucket, sent, delivered, failed, cost_cents, facts,
    groups.channel, groups.error_code, groups.sent, groups.delivered, groups.failed, groups.cost_cents,
    rank_sum, generation
)
WITH
    pairs AS
    (
        SELECT
            org_id,
            toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC') AS coarse,
            groups.channel AS channel,
            groups.error_code AS error_code,
            sum(groups.sent) AS sent,
            sum(groups.delivered) AS delivered,
            sum(groups.failed) AS failed,
            sum(groups.cost_cents) AS cost,
            sumIf(rank_sum, place <= 1) AS ranks,
            sumIf(1 + generation % 2048, place <= 1 AND intDiv(generation, 2048) >= {generation:UInt32}) AS current
        FROM {source:Identifier} FINAL
        LEFT ARRAY JOIN groups, arrayEnumerate(groups.channel) AS place -- 0 in a row without groups, whose stamp counts
        -- PREWHERE may come before FINAL, since it looks at the key alone; the groups of other buckets are not read.
        PREWHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
          AND ({org:String} = '' OR org_id = {org:String})
          AND ({late:UInt8} = 0 OR (
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
        GROUP BY org_id, coarse, channel, error_code
        UNION ALL
        SELECT DISTINCT org_id, bucket, '', '', 0, 0, 0, toDecimal128(0, 6), 0, 0
        FROM {target:Identifier}
        WHERE {rebuild:UInt8} = 1
          AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
          AND ({org:String} = '' OR org_id = {org:String})
    ),
    buckets AS
    (
        SELECT
            org_id,
            coarse AS bucket,
            sum(ranks) AS rank_sum,
            sum(current) AS current_below,
            arraySort(
                pair -> (pair.1 = {other:String}, -(pair.3 + pair.4 + pair.5), pair.1, pair.2),
                groupArrayIf((channel::String, error_code::String, sent, delivered, failed, cost), sent + delivered + failed > 0)
            ) AS sorted,
            arraySlice(sorted, 1, {max_pairs:UInt32}) AS kept,
            arraySlice(sorted, {max_pairs:UInt32} + 1) AS rest,
            arrayConcat(
                kept,
                if(empty(rest), [], arrayFilter(
                    pair -> pair.3 + pair.4 + pair.5 > 0,
                    arrayMap(
                        code -> (
                            {other:String},
                            code,
                            arraySum(pair -> if(empty(pair.2) = empty(code), pair.3, 0), rest),
                            arraySum(pair -> if(empty(pair.2) = empty(code), pair.4, 0), rest),
                            arraySum(pair -> if(empty(pair.2) = empty(code), pair.5, 0), rest),
                            arraySum(pair -> if(empty(pair.2) = empty(code), pair.6, toDecimal128(0, 6)), rest)
                        ),
                        ['', {other:String}]
                    )
                ))
            ) AS pairs
        FROM pairs
        GROUP BY org_id, coarse
    )
SELECT
    org_id,
    bucket,
    arraySum(pairs.3),
    arraySum(pairs.4),
    arraySum(pairs.5),
    arraySum(pairs.6),
    arraySum(pairs.3) + arraySum(pairs.4) + arraySum(pairs.5),
    pairs.1,
    pairs.2,
    pairs.3,
    pairs.4,
    pairs.5,
    pairs.6,
    rank_sum,
    {generation:UInt32} * 2048 + current_below
FROM buckets
