-- The database of this connection.
SELECT currentDatabase()
