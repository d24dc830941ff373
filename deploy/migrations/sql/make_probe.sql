-- Makes an empty table, to see whether this user may.
CREATE TABLE IF NOT EXISTS probe (x UInt8) ENGINE = Memory
