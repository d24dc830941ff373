-- The number of tables of this database that replicas share by copying parts (Shared* tables need no copies).
SELECT count() FROM system.tables WHERE database = currentDatabase() AND startsWith(engine, 'Replicated')
