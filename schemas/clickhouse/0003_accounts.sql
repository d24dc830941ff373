-- Organizations, their API keys (only hashes) and the secret that signs cursors.
CREATE TABLE orgs
(
    org_id String,
    tier LowCardinality(String),
    updated_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY org_id;

-- Looked up by hash at every request, hence the key. A revocation is a new version of the row;
-- revoked_at and expires_at are the epoch when unset.
CREATE TABLE api_keys
(
    key_hash String,
    id String,
    prefix String,
    org_id String,
    scopes Array(String),
    created_at DateTime64(3, 'UTC'),
    expires_at DateTime64(3, 'UTC'),
    revoked_at DateTime64(3, 'UTC'),
    updated_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = ReplacingMergeTree(updated_at)
ORDER BY key_hash;

-- Two migrations at once may both insert a secret: readers take the oldest, then the smallest.
CREATE TABLE secrets
(
    name String,
    value String,
    created_at DateTime64(6, 'UTC') DEFAULT now64(6, 'UTC')
)
ENGINE = MergeTree
ORDER BY (name, created_at, value);
