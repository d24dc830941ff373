-- When the database was restored and statements have not been resumed since, in epoch milliseconds; 0 else.
SELECT if(max(restored_at) > max(resumed_at), toUnixTimestamp64Milli(max(restored_at)), 0) FROM statement_restores
