-- Late recomputes that wait in workers which reported lately.
SELECT sum(pending_recomputes)
FROM worker_status FINAL
WHERE updated_at > now64(3) - toIntervalSecond({seconds:UInt32})
