-- The columns that rows of `old` have and that can be inserted into `new`.
SELECT name
FROM system.columns
WHERE database = currentDatabase() AND table = {new:String} AND default_kind IN ('', 'DEFAULT')
  AND name IN (SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {old:String})
ORDER BY position
