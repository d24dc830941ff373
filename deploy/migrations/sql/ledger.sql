-- Every statement that was run.
SELECT number, statement, name, checksum FROM schema_migrations FINAL
