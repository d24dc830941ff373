-- Logs, for people, a span of time that was closed, and how long that took.
INSERT INTO closings (closed_from, closed_to, generation, worker, duration_ms)
VALUES (
    fromUnixTimestamp64Milli({from_ms:Int64}, 'UTC'),
    fromUnixTimestamp64Milli({to_ms:Int64}, 'UTC'),
    {generation:UInt32},
    {worker:String},
    {duration_ms:UInt32}
)
