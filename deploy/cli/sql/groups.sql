-- The consumer groups of the workers that reported recently.
SELECT DISTINCT group
FROM worker_status FINAL
WHERE updated_at > now64(3) - toIntervalSecond({seconds:UInt32}) AND group != ''
ORDER BY group
