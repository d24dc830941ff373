-- Removes it.
DROP TABLE IF EXISTS probe_renamed
