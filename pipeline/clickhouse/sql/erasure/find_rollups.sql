-- Erasures of which rows of a rollup, `target`, came back: rows that the last deletion would have taken, computed before
-- it was announced. A statement that outlasts what an erasure waits for leaves such behind, so they are looked for within
-- an hour; those that the deletion left on purpose would be found for ever. An announcement ahead of the clock says
-- nothing: the clock was ahead then.
WITH erased AS
(
    SELECT org_id, max(at) AS erased_at, max(ordered_at) AS ordered, max(announced) AS last_announced
    FROM erasures
    GROUP BY org_id
    HAVING max(finished) BETWEEN now64(6, 'UTC') - toIntervalHour(1) AND now64(6, 'UTC')
)
SELECT DISTINCT org_id, toUnixTimestamp64Milli(erased_at)
FROM
(
    SELECT org_id, bucket, computed_at
    FROM {target:Identifier} FINAL
    WHERE org_id IN (SELECT org_id FROM erased)
) AS rollup
INNER JOIN erased USING (org_id)
WHERE (bucket >= fromUnixTimestamp64Milli({floor_ms:Int64}, 'UTC') OR computed_at <= ordered)
  AND computed_at < toDateTime64(last_announced, 3, 'UTC') -- as the other is: cut to milliseconds
ORDER BY org_id
