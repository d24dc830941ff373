-- Inserts into some tables of this database that are under way on this server: their ids, and the seconds since they began
-- by the server's stopwatch. What is no insert, or goes elsewhere, is none: a backup, an export.
WITH
    -- Without comments; the first name behind INSERT INTO, which may be that of the database and the table.
    extract(normalizeQueryKeepNames(query), '(?i)\\bINSERT\\s+(?:INTO\\s+)?(?:TABLE\\s+)?([^\\s(]+)') AS written,
    replaceRegexpAll(written, '[`"]', '') AS target
SELECT query_id, elapsed
FROM system.processes
WHERE query_kind = 'Insert'
  AND (
      (current_database = currentDatabase() AND has({tables:Array(String)}, target))
      OR has(arrayMap(name -> concat(currentDatabase(), '.', name), {tables:Array(String)}), target)
  )
