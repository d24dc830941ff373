-- Statements that were made after the backup are missing, until somebody says that they are not.
INSERT INTO statement_restores (restored_at)
SELECT greatest(now64(3, 'UTC'), addMilliseconds(max(resumed_at), 1)) FROM statement_restores
