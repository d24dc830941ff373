-- A header of a record may have no value, which is something else than an empty one. Rows from before have 0 here.
ALTER TABLE dead_letters ADD COLUMN IF NOT EXISTS headers.is_null Array(UInt8) AFTER headers.value;
