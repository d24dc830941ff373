-- Rows of facts, to tell a database that has none yet.
SELECT count() FROM facts
