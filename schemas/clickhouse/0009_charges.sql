-- needs a stop: an older roller would close buckets without the charges in them, and every number would look right.

-- The columns are there since 0007: the type in `facts`, and how many charges a number contains in the rollups. What an
-- older version refused as an unknown type is in `dead_letters`.
INSERT INTO watermark (schema) VALUES (9);

INSERT INTO watermark (schema_done) VALUES (9);
