-- The columns of `old`, as far as they are inserted, that `new` has not.
SELECT name
FROM system.columns
WHERE database = currentDatabase() AND table = {old:String} AND default_kind IN ('', 'DEFAULT')
  AND name NOT IN (SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {new:String})
ORDER BY position
