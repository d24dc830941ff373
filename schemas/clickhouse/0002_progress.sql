-- The one row readers use. Each column only rises, whoever writes it and in whatever order; a column left out of an
-- insert is zero and changes nothing. Read it as max() over the table.
CREATE TABLE watermark
(
    id UInt8 DEFAULT 0,
    as_of SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    closing SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    facts_floor SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    generation SimpleAggregateFunction(max, UInt32)
)
ENGINE = AggregatingMergeTree
ORDER BY id;

-- How far each Kafka partition has been taken into facts. `incarnation` rises when the topic was made anew.
CREATE TABLE partition_watermarks
(
    cluster_id String,
    topic String,
    partition UInt32,
    incarnation UInt32 DEFAULT 0,
    watermark SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    next_offset SimpleAggregateFunction(max, UInt64)
)
ENGINE = AggregatingMergeTree
ORDER BY (cluster_id, topic, partition, incarnation);

-- Only for looking at: the newest row per partition and per worker.
CREATE TABLE partition_status
(
    cluster_id String,
    topic String,
    partition UInt32,
    owner String,
    status LowCardinality(String),
    next_offset UInt64,
    log_end_offset UInt64,
    updated_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY (cluster_id, topic, partition)
TTL toDateTime(updated_at, 'UTC') + toIntervalDay(7);

CREATE TABLE worker_status
(
    worker String,
    ready UInt8,
    reasons Array(String),
    pending_recomputes UInt64,
    updated_at DateTime64(3, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY worker
TTL toDateTime(updated_at, 'UTC') + toIntervalDay(1);

-- A log of what the roller closed, and of stretches of the topic that an operator accepted as lost.
CREATE TABLE closings
(
    closed_from DateTime64(3, 'UTC'),
    closed_to DateTime64(3, 'UTC'),
    generation UInt32,
    worker String,
    duration_ms UInt32,
    closed_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY closed_at
TTL toDateTime(closed_at, 'UTC') + toIntervalDay(30);

CREATE TABLE accepted_gaps
(
    cluster_id String,
    topic String,
    partition UInt32,
    from_offset UInt64,
    to_offset UInt64,
    accepted_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
ORDER BY (cluster_id, topic, partition, from_offset, to_offset);

-- Records that broke a rule of the contract, with the reason and the original bytes.
CREATE TABLE dead_letters
(
    cluster_id String,
    topic String,
    partition UInt32,
    offset UInt64,
    reason LowCardinality(String),
    detail String,
    org_id String,
    event_id String,
    occurred_at DateTime64(3, 'UTC'),
    record_at DateTime64(3, 'UTC'),
    key String,
    has_key UInt8,
    value String,
    has_value UInt8,
    headers Nested(name String, value String),
    seen_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ReplacingMergeTree
PARTITION BY toYYYYMM(record_at)
ORDER BY (cluster_id, topic, partition, offset)
TTL toDateTime(seen_at, 'UTC') + toIntervalDay(90)
SETTINGS non_replicated_deduplication_window = 0;
