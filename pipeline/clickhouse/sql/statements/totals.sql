-- The totals of statements as JSON, by hash.
SELECT DISTINCT sha256, totals
FROM statements
WHERE ({period:String} = '' OR period = {period:String})
  AND ({org:String} = '' OR org_id = {org:String})
