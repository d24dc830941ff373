-- How many of some tables several servers write to in one storage, each with a list of statements of its own.
SELECT count()
FROM system.tables
WHERE database = currentDatabase() AND has({tables:Array(String)}, name) AND startsWith(engine, 'Shared')
