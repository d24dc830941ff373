-- The newest report of each worker, in epoch milliseconds.
SELECT worker, toUnixTimestamp64Milli(max(updated_at)) FROM worker_status GROUP BY worker
