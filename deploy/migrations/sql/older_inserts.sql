-- The number of inserts in this database, on this server, that began before an instant (epoch microseconds).
SELECT count()
FROM system.processes
WHERE query_kind = 'Insert' AND current_database = currentDatabase()
  AND toUnixTimestamp64Micro(now64(6)) - toInt64(elapsed * 1000000) < {asked_at:Int64}
