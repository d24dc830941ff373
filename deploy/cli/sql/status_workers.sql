-- Why workers that reported recently are not ready.
SELECT worker, reasons
FROM worker_status FINAL
WHERE updated_at > now64(3) - toIntervalSecond({seconds:UInt32}) AND notEmpty(reasons)
ORDER BY worker
