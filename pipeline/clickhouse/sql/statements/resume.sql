-- No statement is missing since the restore.
INSERT INTO statement_restores (resumed_at)
SELECT greatest(now64(3, 'UTC'), max(restored_at)) FROM statement_restores
