-- The first minute that a rollup has of anybody, and whether there is one.
SELECT toUnixTimestamp(min(bucket)), count() > 0 FROM rollup_minute
