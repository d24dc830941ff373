-- Made by `python -m deploy.clickhouse_server.make_users`; change the table there.
-- Passwords are not here: deploy/make-secrets.sh puts their SHA-256 into a file that goes with this one.
-- Run as an administrator:
--   cat secrets/passwords.sql deploy/clickhouse_server/users.sql | clickhouse-client --ask-password --user …

-- worker: inserts facts, computes rollups, finishes erasures; cannot alter or drop tables, or see keys and secrets
CREATE ROLE IF NOT EXISTS msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.facts TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.facts_local TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.rollup_minute TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.rollup_minute_local TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.rollup_hour TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.rollup_hour_local TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.rollup_day TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.rollup_day_local TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.dead_letters TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.dead_letters_local TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.recompute_keys TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.recompute_keys_local TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.watermark TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.partition_watermarks TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.retired_topics TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.partition_status TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.worker_status TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.closings TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.accepted_gaps TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.erasures TO msgmetrics_worker;
GRANT SELECT, INSERT ON msgmetrics.resyncs TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.facts TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.facts_local TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.rollup_minute TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.rollup_minute_local TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.rollup_hour TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.rollup_hour_local TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.rollup_day TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.rollup_day_local TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.dead_letters TO msgmetrics_worker;
GRANT ALTER DELETE ON msgmetrics.dead_letters_local TO msgmetrics_worker;
GRANT SELECT ON msgmetrics.mutations TO msgmetrics_worker;
GRANT SELECT ON msgmetrics.synchronised TO msgmetrics_worker;
GRANT SELECT ON msgmetrics.statements TO msgmetrics_worker;
GRANT SELECT ON system.mutations TO msgmetrics_worker;
GRANT SELECT ON system.processes TO msgmetrics_worker;
GRANT CLUSTER ON *.* TO msgmetrics_worker;
CREATE SETTINGS PROFILE IF NOT EXISTS msgmetrics_worker SETTINGS max_memory_usage = 8589934592 MIN 1 MAX 8589934592, max_concurrent_queries_for_user = 100 MIN 1 MAX 100 TO msgmetrics_worker;
CREATE QUOTA IF NOT EXISTS msgmetrics_worker FOR INTERVAL 1 minute NO LIMITS TO msgmetrics_worker;
CREATE USER IF NOT EXISTS worker IDENTIFIED WITH sha256_hash BY {worker_sha256:String} DEFAULT ROLE msgmetrics_worker;

-- api: answers clients; reads rollups and keys, never an event, and writes nothing
CREATE ROLE IF NOT EXISTS msgmetrics_api;
GRANT SELECT ON msgmetrics.rollup_minute TO msgmetrics_api;
GRANT SELECT ON msgmetrics.rollup_minute_local TO msgmetrics_api;
GRANT SELECT ON msgmetrics.rollup_hour TO msgmetrics_api;
GRANT SELECT ON msgmetrics.rollup_hour_local TO msgmetrics_api;
GRANT SELECT ON msgmetrics.rollup_day TO msgmetrics_api;
GRANT SELECT ON msgmetrics.rollup_day_local TO msgmetrics_api;
GRANT SELECT ON msgmetrics.watermark TO msgmetrics_api;
GRANT SELECT ON msgmetrics.resyncs TO msgmetrics_api;
GRANT SELECT ON msgmetrics.api_keys TO msgmetrics_api;
GRANT SELECT ON msgmetrics.orgs TO msgmetrics_api;
GRANT SELECT ON msgmetrics.secrets TO msgmetrics_api;
CREATE SETTINGS PROFILE IF NOT EXISTS msgmetrics_api SETTINGS readonly = 2, max_execution_time = 5 MIN 1 MAX 5, max_memory_usage = 1073741824 MIN 1 MAX 1073741824, max_rows_to_read = 50000000 MIN 1 MAX 50000000, max_result_rows = 6000000 MIN 1 MAX 6000000, max_concurrent_queries_for_user = 64 MIN 1 MAX 64 TO msgmetrics_api;
CREATE QUOTA IF NOT EXISTS msgmetrics_api FOR INTERVAL 1 minute MAX queries = 600000 TO msgmetrics_api;
CREATE USER IF NOT EXISTS api IDENTIFIED WITH sha256_hash BY {api_sha256:String} DEFAULT ROLE msgmetrics_api;

-- migrate: makes, changes, backs up and restores tables; used for the time of `msgmetrics migrate` and `backup` alone
CREATE ROLE IF NOT EXISTS msgmetrics_migrate;
GRANT CREATE DATABASE, CREATE TABLE, ALTER TABLE, DROP TABLE, SELECT, INSERT, BACKUP ON msgmetrics.* TO msgmetrics_migrate;
GRANT CREATE VIEW, DROP VIEW ON msgmetrics.mutations TO msgmetrics_migrate;
GRANT CREATE VIEW, DROP VIEW ON msgmetrics.synchronised TO msgmetrics_migrate;
GRANT SELECT ON system.clusters TO msgmetrics_migrate;
GRANT SELECT ON system.mutations TO msgmetrics_migrate;
GRANT SELECT ON system.tables TO msgmetrics_migrate;
GRANT SELECT ON system.parts TO msgmetrics_migrate;
GRANT SELECT ON system.processes TO msgmetrics_migrate;
GRANT CLUSTER, REMOTE ON *.* TO msgmetrics_migrate;
CREATE SETTINGS PROFILE IF NOT EXISTS msgmetrics_migrate SETTINGS max_concurrent_queries_for_user = 100 MIN 1 MAX 100 TO msgmetrics_migrate;
CREATE QUOTA IF NOT EXISTS msgmetrics_migrate FOR INTERVAL 1 minute NO LIMITS TO msgmetrics_migrate;
CREATE USER IF NOT EXISTS migrate IDENTIFIED WITH sha256_hash BY {migrate_sha256:String} DEFAULT ROLE msgmetrics_migrate;

-- operator: runs every other command: reads all, manages keys, rebuilds, erases; cannot change or drop a table
CREATE ROLE IF NOT EXISTS msgmetrics_operator;
GRANT SELECT, INSERT, ALTER DELETE ON msgmetrics.* TO msgmetrics_operator;
GRANT SELECT ON system.mutations TO msgmetrics_operator;
GRANT SELECT ON system.processes TO msgmetrics_operator;
GRANT CLUSTER ON *.* TO msgmetrics_operator;
CREATE SETTINGS PROFILE IF NOT EXISTS msgmetrics_operator SETTINGS max_concurrent_queries_for_user = 16 MIN 1 MAX 16 TO msgmetrics_operator;
CREATE QUOTA IF NOT EXISTS msgmetrics_operator FOR INTERVAL 1 minute NO LIMITS TO msgmetrics_operator;
CREATE USER IF NOT EXISTS operator IDENTIFIED WITH sha256_hash BY {operator_sha256:String} DEFAULT ROLE msgmetrics_operator;
