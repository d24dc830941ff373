"""What several tests share: a fake ClickHouse, real engines, a ledger of what was produced."""
