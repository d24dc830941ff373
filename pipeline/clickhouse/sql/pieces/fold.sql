-- Folds `pairs` into the rows of a rollup: (org_id, bucket_start, channel, error_code, sent, delivered, failed,
-- charged, cost, ranks, current). One pair may have any number of rows.
-- A bucket keeps its max_pairs largest (channel, error code) pairs. The rest is added up under the channel `other`,
-- once without an error code and once with the code `other`, so that "no error code" stays apart. Pairs of the channel
-- `other` come last, so that a coarser bucket adds its rest to what finer ones have folded.
buckets AS
(
    SELECT
        org_id,
        bucket_start AS bucket,
        sum(ranks) AS rank_sum,
        sum(current) AS current_below,
        arraySort(
            pair -> (pair.1 = {other:String}, -(pair.3 + pair.4 + pair.5 + pair.6), pair.1, pair.2),
            groupArrayIf(
                (channel::String, error_code::String, sent, delivered, failed, charged, cost),
                sent + delivered + failed + charged > 0
            )
        ) AS sorted,
        arraySlice(sorted, 1, {max_pairs:UInt32}) AS kept,
        arraySlice(sorted, {max_pairs:UInt32} + 1) AS rest,
        arrayConcat(
            kept,
            if(empty(rest), [], arrayFilter(
                pair -> pair.3 + pair.4 + pair.5 + pair.6 > 0,
                arrayMap(
                    code -> (
                        {other:String},
                        code,
                        arraySum(pair -> if(empty(pair.2) = empty(code), pair.3, 0), rest),
                        arraySum(pair -> if(empty(pair.2) = empty(code), pair.4, 0), rest),
                        arraySum(pair -> if(empty(pair.2) = empty(code), pair.5, 0), rest),
                        arraySum(pair -> if(empty(pair.2) = empty(code), pair.6, 0), rest),
                        arraySum(pair -> if(empty(pair.2) = empty(code), pair.7, toDecimal128(0, 6)), rest)
                    ),
                    ['', {other:String}]
                )
            ))
        ) AS pairs
    FROM pairs
    GROUP BY org_id, bucket_start
)
SELECT
    org_id,
    bucket,
    arraySum(pairs.3),
    arraySum(pairs.4),
    arraySum(pairs.5),
    arraySum(pairs.6),
    arraySum(pairs.7),
    arraySum(pairs.3) + arraySum(pairs.4) + arraySum(pairs.5) + arraySum(pairs.6),
    pairs.1,
    pairs.2,
    pairs.3,
    pairs.4,
    pairs.5,
    pairs.6,
    pairs.7,
    rank_sum,
    {generation:UInt32} * 2048 + current_below -- a stamp: pipeline/core/generation.py
FROM buckets
