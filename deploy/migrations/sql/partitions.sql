-- The partitions that a table has rows in.
SELECT DISTINCT _partition_id FROM {table:Identifier} ORDER BY _partition_id
