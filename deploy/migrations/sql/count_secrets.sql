-- 1 where a secret is there, 0 otherwise.
SELECT count() FROM secrets WHERE name = {name:String}
