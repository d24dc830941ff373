-- Documents by their hashes.
SELECT DISTINCT sha256, document
FROM statements
WHERE period IN {periods:Array(String)} AND org_id IN {orgs:Array(String)} AND sha256 IN {hashes:Array(String)}
