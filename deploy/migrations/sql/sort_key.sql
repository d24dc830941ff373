-- The columns that a table's rows are sorted by.
SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = {table:String}
