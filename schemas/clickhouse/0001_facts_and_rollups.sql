-- One row per event. Written twice it stays one row; with other content under the same identity the higher rank wins,
-- whatever the order of arrival. Time comes first in the key, so that closing a minute is a range scan. The minute is
-- part of the key: one id at two minutes is two facts, which `reconcile` reports as the producer's violation.
CREATE TABLE facts
(
    minute DateTime('UTC') MATERIALIZED toStartOfMinute(occurred_at, 'UTC'),
    org_id LowCardinality(String),
    event_id String,
    type Enum8('message.sent' = 1, 'message.delivered' = 2, 'message.failed' = 3),
    channel LowCardinality(String),
    error_code LowCardinality(String),
    cost_cents Decimal(18, 6),
    occurred_at DateTime64(3, 'UTC'),
    record_at DateTime64(3, 'UTC'),
    partition UInt32,
    offset UInt64,
    rank UInt32 MATERIALIZED xxHash32(toInt8(type), channel, error_code, cost_cents, occurred_at)
)
ENGINE = ReplacingMergeTree(rank)
PARTITION BY toYYYYMMDD(minute)
ORDER BY (minute, org_id, event_id)
TTL minute + toIntervalDay(35)
SETTINGS ttl_only_drop_parts = 1, non_replicated_deduplication_window = 0;

-- Rollups: one row per (organization, bucket), replaced as a whole. The version only rises with what the row was
-- computed from, so that a stale recompute never replaces a fuller row. Totals and groups come from one statement.
-- An organization comes first in the key, since the endpoint reads one organization over a span of time.
CREATE TABLE rollup_minute
(
    org_id String,
    bucket DateTime('UTC'),
    sent UInt64,
    delivered UInt64,
    failed UInt64,
    cost_cents Decimal(38, 6),
    facts UInt64,
    groups Nested
    (
        channel LowCardinality(String),
        error_code LowCardinality(String),
        sent UInt64,
        delivered UInt64,
        failed UInt64,
        cost_cents Decimal(38, 6)
    ),
    rank_sum UInt64,
    generation UInt32,
    computed_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC'),
    version UInt128 MATERIALIZED
        bitShiftLeft(toUInt128(generation), 104) + bitShiftLeft(toUInt128(facts), 64) + toUInt128(rank_sum)
)
ENGINE = ReplacingMergeTree(version)
PARTITION BY toMonday(bucket)
ORDER BY (org_id, bucket)
SETTINGS non_replicated_deduplication_window = 0;

CREATE TABLE rollup_hour AS rollup_minute
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYYYYMM(bucket)
ORDER BY (org_id, bucket)
SETTINGS non_replicated_deduplication_window = 0;

CREATE TABLE rollup_day AS rollup_minute
ENGINE = ReplacingMergeTree(version)
PARTITION BY toYear(bucket)
ORDER BY (org_id, bucket)
SETTINGS non_replicated_deduplication_window = 0;

-- The keys of one late recompute, so that a million of them travel as data and not as SQL text.
CREATE TABLE recompute_keys
(
    batch UUID,
    minute DateTime('UTC'),
    org_id String,
    created_at DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = MergeTree
ORDER BY (batch, minute, org_id)
TTL created_at + toIntervalHour(1);
