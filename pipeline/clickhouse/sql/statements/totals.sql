-- The last line of each document, its totals, by hash.
SELECT DISTINCT sha256, arrayElement(splitByChar('\n', document), -2)
FROM statements
WHERE ({period:String} = '' OR period = {period:String})
  AND ({org:String} = '' OR org_id = {org:String})
