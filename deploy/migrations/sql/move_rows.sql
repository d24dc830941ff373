-- Copies one of `parts` parts of a partition's rows whose `column` lies in [start, end) (epoch seconds). COLUMNS are those
-- that both tables have, and those that are filled; VALUES are the former and the expressions of the latter; KEY is what
-- the old table is sorted by.
INSERT INTO {new:Identifier} (COLUMNS)
SELECT VALUES
FROM {old:Identifier}
WHERE _partition_id = {partition:String}
  AND {column:Identifier} >= toDateTime({start:UInt32}, 'UTC') AND {column:Identifier} < toDateTime({end:UInt32}, 'UTC')
  AND ({parts:UInt32} = 1 OR cityHash64(KEY) % {parts:UInt32} = {part:UInt32})
