-- The statement that would make a table as it is now, its TTL included.
SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}
