-- How months of organizations stand, those of one where named.
SELECT org_id, period, is_open, differs
FROM
(
    -- include pieces/standing.sql
)
WHERE {org:String} = '' OR org_id = {org:String}
ORDER BY org_id, period
