-- The scalars that rise. Rows that the engine has not merged yet are still there, so each is a maximum.
SELECT
    toUnixTimestamp64Milli(max(as_of)),
    toUnixTimestamp64Milli(max(closing)),
    toUnixTimestamp64Milli(max(facts_floor)),
    max(generation)
FROM watermark
