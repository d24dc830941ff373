-- Erasures that were interrupted, or whose rows came back.
WITH erased AS
(
    SELECT org_id, max(at) AS erased_at, max(announced) > max(finished) AS is_unfinished
    FROM erasures
    GROUP BY org_id
)
SELECT org_id, toUnixTimestamp64Milli(erased_at)
FROM erased
WHERE is_unfinished
   OR org_id IN
      (SELECT org_id FROM facts INNER JOIN erased USING (org_id) WHERE facts.record_at <= erased.erased_at)
   OR org_id IN
      (SELECT org_id FROM dead_letters INNER JOIN erased USING (org_id) WHERE dead_letters.record_at <= erased.erased_at)
ORDER BY org_id
