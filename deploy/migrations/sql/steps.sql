-- How many rows a partition has in each step of `step` seconds, by the time in `column`; the starts are epoch seconds.
SELECT intDiv(toUnixTimestamp({column:Identifier}), {step:UInt32}) * {step:UInt32} AS start, count()
FROM {table:Identifier}
WHERE _partition_id = {partition:String}
GROUP BY start
ORDER BY start
