-- Late recomputes that wait in workers that reported recently.
SELECT sum(pending_recomputes)
FROM worker_status FINAL
WHERE updated_at > now64(3) - toIntervalSecond({seconds:UInt32})
