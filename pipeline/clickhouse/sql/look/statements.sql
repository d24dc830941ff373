-- How months stand: how many organizations are stated, have numbers and are not, and differ from what was stated.
SELECT period, countIf(newest > 0), countIf(is_open), countIf(differs)
FROM
(
    -- include pieces/standing.sql
)
GROUP BY period
ORDER BY period
