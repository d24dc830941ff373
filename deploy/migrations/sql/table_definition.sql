-- The statement that would create a table as it is now, with its TTL.
SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}
