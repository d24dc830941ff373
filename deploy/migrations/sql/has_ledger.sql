-- 1 where any migration was run here, 0 otherwise.
EXISTS TABLE schema_migrations
