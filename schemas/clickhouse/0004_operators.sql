-- Organizations that were erased: records of such an organization that are not younger than `at` are dropped wherever
-- they come from, so that no redelivery and no replay brings them back. `announced` rises whenever rows are about to be
-- deleted, and `finished` is the announcement up to which nothing is left, in rollups either: where it is behind, an
-- erasure was interrupted, and a worker goes on with it.
CREATE TABLE erasures
(
    org_id String,
    at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    announced SimpleAggregateFunction(max, DateTime64(6, 'UTC')),
    finished SimpleAggregateFunction(max, DateTime64(6, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY org_id;

-- One maintenance command at a time, by courtesy and not for safety: the earliest claim that is not over holds.
-- A claim is renewed by a row with the same claimed_at and a later expires_at; a row that is over already gives it back.
CREATE TABLE leases
(
    holder String,
    command String,
    claimed_at DateTime64(6, 'UTC'),
    expires_at DateTime64(6, 'UTC'),
    version UInt64
)
ENGINE = ReplacingMergeTree(version)
ORDER BY holder
TTL toDateTime(expires_at, 'UTC') + toIntervalDay(30);

-- An append-only log beside the dead letters: what was sent back to the topic, and when.
CREATE TABLE redrives
(
    cluster_id String,
    topic String,
    partition UInt32,
    offset UInt64,
    redriven_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (cluster_id, topic, partition, offset)
TTL toDateTime(redriven_at, 'UTC') + toIntervalYear(2);

-- How far each replay has come, partition by partition, so that an interrupted one can go on.
CREATE TABLE replays
(
    replay UUID,
    cluster_id String,
    topic String,
    from_ms Int64,
    to_ms Int64,
    partition UInt32,
    next_offset SimpleAggregateFunction(max, UInt64),
    end_offset SimpleAggregateFunction(max, UInt64),
    started_at SimpleAggregateFunction(min, DateTime64(3, 'UTC')) DEFAULT now64(3, 'UTC'),
    updated_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')) DEFAULT now64(3, 'UTC')
)
ENGINE = AggregatingMergeTree
ORDER BY (cluster_id, topic, from_ms, to_ms, replay, partition)
TTL toDateTime(updated_at, 'UTC') + toIntervalDay(90);

-- The identities that a dry run of a replay met, to be held against the facts.
CREATE TABLE replay_keys
(
    batch UUID,
    minute DateTime('UTC'),
    org_id String,
    event_id String,
    created_at DateTime('UTC') DEFAULT now('UTC')
)
ENGINE = MergeTree
ORDER BY (batch, minute, org_id, event_id)
TTL created_at + toIntervalHour(1);
