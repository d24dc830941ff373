"""Everything that can break, broken on purpose: on real Kafka, real processes, ClickHouse behind HTTP."""
