-- Computes the buckets of width seconds in [start, end) of `target` from the next finer rollup, `source`; with late = 1
-- only those that contain a minute of the batch of recompute keys and end at or before `closing` (epoch seconds).
-- A bucket carries the lowest generation of the rows it was computed from, so that one computed from a bad row cannot
-- outrank its repair. Pairs are folded as in rollup_minute.sql.
INSERT INTO {target:Identifier}
(
    org_id, bucket, sent, delivered, failed, cost_cents, facts,
    groups.channel, groups.error_code, groups.sent, groups.delivered, groups.failed, groups.cost_cents,
    rank_sum, generation
)
WITH
    finer AS
    (
        SELECT
            org_id,
            toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC') AS coarse,
            arrayZip(
                groups.channel::Array(String),
                groups.error_code::Array(String),
                groups.sent,
                groups.delivered,
                groups.failed,
                groups.cost_cents
            ) AS pairs,
            rank_sum AS ranks,
            generation AS source_generation
        FROM {source:Identifier} FINAL
        WHERE bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
          AND ({late:UInt8} = 0 OR (
              org_id IN (SELECT org_id FROM recompute_keys WHERE batch = {batch:UUID})
              AND (org_id, toStartOfInterval(bucket, toIntervalSecond({width:UInt32}), 'UTC')) IN
              (
                  SELECT org_id, toStartOfInterval(minute, toIntervalSecond({width:UInt32}), 'UTC') AS late_bucket
                  FROM recompute_keys
                  WHERE batch = {batch:UUID} AND toUnixTimestamp(late_bucket) + {width:UInt32} <= {closing:UInt32}
              )))
    ),
    merged AS
    (
        SELECT
            org_id,
            coarse,
            sum(ranks) AS rank_sum,
            min(source_generation) AS lowest_generation,
            sumMap(
                arrayMap(pair -> (pair.1, pair.2), pairs),
                pairs.3,
                pairs.4,
                pairs.5,
                pairs.6
            ) AS by_pair
        FROM finer
        GROUP BY org_id, coarse
    ),
    buckets AS
    (
        SELECT
            org_id,
            coarse AS bucket,
            rank_sum,
            lowest_generation,
            arraySort(
                pair -> (pair.1 = {other:String}, -(pair.3 + pair.4 + pair.5), pair.1, pair.2),
                arrayMap(
                    (names, sent, delivered, failed, cost) -> (names.1, names.2, sent, delivered, failed, cost),
                    by_pair.1, by_pair.2, by_pair.3, by_pair.4, by_pair.5
                )
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
        FROM merged
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
    lowest_generation
FROM buckets
