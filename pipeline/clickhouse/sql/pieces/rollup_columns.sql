(
    org_id, bucket, sent, delivered, failed, cost_cents, facts,
    groups.channel, groups.error_code, groups.sent, groups.delivered, groups.failed, groups.cost_cents,
    rank_sum, generation
)
