-- Closed months, as documents that were billed. Rows are only ever added: revision n is the row with the least
-- (stated_at, sha256), others of the same n are void. `stated_at` is when the insert began, `previous` and `partial` are
-- what the document's head says. `as_of` is how far aggregation had come when the numbers were read.
-- `content` stands for the numbers of the document's lines, without regard to their order: by it they are held against the
-- rollups without reading a document again; `totals` is its last line.
CREATE TABLE statements
(
    org_id String,
    period LowCardinality(String),
    revision UInt32,
    stated_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC'),
    sha256 String,
    previous String,
    partial UInt8,
    as_of DateTime64(3, 'UTC'),
    generation UInt32,
    software LowCardinality(String),
    document String CODEC(ZSTD(3)),
    totals String MATERIALIZED arrayElement(splitByChar('\n', document), -2),
    content UInt64 MATERIALIZED arraySum(
        line -> cityHash64(
            JSONExtractString(line, 'day'),
            JSONExtractString(line, 'channel'),
            JSONExtractString(line, 'error_code'),
            JSONExtractUInt(line, 'sent'),
            JSONExtractUInt(line, 'delivered'),
            JSONExtractUInt(line, 'failed'),
            JSONExtractUInt(line, 'charged'),
            JSONExtractString(line, 'cost_cents')
        ),
        arrayFilter(line -> startsWith(line, '{"day":'), splitByChar('\n', document))
    )
)
ENGINE = MergeTree
ORDER BY (period, org_id, revision, stated_at, sha256)
SETTINGS non_replicated_deduplication_window = 0;

-- That the database was restored from a backup, and since when everybody may rely on it that no statement is missing.
CREATE TABLE statement_restores
(
    restored_at SimpleAggregateFunction(max, DateTime64(3, 'UTC')),
    resumed_at SimpleAggregateFunction(max, DateTime64(3, 'UTC'))
)
ENGINE = AggregatingMergeTree
ORDER BY tuple();

INSERT INTO watermark (schema_done) VALUES (11);
