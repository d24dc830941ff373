-- The database that the client speaks to.
SELECT currentDatabase()
