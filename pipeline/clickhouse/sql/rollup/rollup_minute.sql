-- Computes the minutes in [start, end) from facts, of one organization where org is not ''; with late = 1 only those
-- named by the batch of recompute keys; with rebuild = 1 also those that have a row and should have none: they get an
-- empty one.
-- At most max_pairs (channel, error code) pairs a bucket; the smallest beyond are folded into the key `other`,
-- which keeps "no error code" apart.
INSERT INTO rollup_minute
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
            minute AS bucket,
            channel,
            error_code,
            countIf(type = 'message.sent') AS sent,
            countIf(type = 'message.delivered') AS delivered,
            countIf(type = 'message.failed') AS failed,
            sum(cost_cents) AS cost,
            sum(rank) AS ranks
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
        SELECT DISTINCT org_id, bucket, '', '', 0, 0, 0, toDecimal128(0, 6), 0
        FROM rollup_minute
        WHERE {rebuild:UInt8} = 1
          AND bucket >= toDateTime({start:UInt32}, 'UTC') AND bucket < toDateTime({end:UInt32}, 'UTC')
          AND ({org:String} = '' OR org_id = {org:String})
    ),
    buckets AS
    (
        SELECT
            org_id,
            bucket,
            sum(ranks) AS rank_sum,
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
        GROUP BY org_id, bucket
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
    {generation:UInt32} * 2048 -- a stamp, see rollup_coarser.sql
FROM buckets
