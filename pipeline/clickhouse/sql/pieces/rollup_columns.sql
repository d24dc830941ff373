(
    org_id, bucket, sent, delivered, failed, charged, cost_cents, facts,
    groups.channel, groups.error_code, groups.sent, groups.delivered, groups.failed, groups.charged,
    groups.cost_cents,
    rank_sum, generation
)
