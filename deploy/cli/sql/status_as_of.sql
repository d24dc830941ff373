-- as_of, the generation, and ClickHouse's clock; instants in epoch milliseconds.
SELECT as_of_ms, generation, now_ms
FROM
(
    -- include shared/as_of.sql
)
