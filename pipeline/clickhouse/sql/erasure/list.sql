-- Per erased organization the instant (epoch milliseconds) up to which it was erased.
SELECT org_id, toUnixTimestamp64Milli(max(at)) FROM erasures GROUP BY org_id
