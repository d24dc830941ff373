-- The number of facts, to recognise a database that has none yet.
SELECT count() FROM facts
