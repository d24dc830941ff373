-- One row for each statement of a migration that was run.
CREATE TABLE IF NOT EXISTS schema_migrations
(
    number UInt32,
    statement UInt32,
    name String,
    checksum String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree ORDER BY (number, statement)
