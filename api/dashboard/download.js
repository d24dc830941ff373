// The shown numbers as CSV, as the public endpoint writes them.

import { make } from "./elements.js";

/** Ask for the CSV of a query and hand it to the browser as a file. */
export async function downloadCsv(client, parameters) {
  const blob = new Blob([await client.csv(parameters)], { type: "text/csv" });
  const link = make("a", { href: URL.createObjectURL(blob), download: fileName(parameters) });
  link.click();
  URL.revokeObjectURL(link.href);
}

function fileName({ metric, granularity, group_by, from, to }) {
  const grouped = group_by ? `-by-${group_by}` : "";
  const plain = (instant) => instant.slice(0, 16).replace(":", "");
  return `messages-${metric}${grouped}-per-${granularity}-${plain(from)}-to-${plain(to)}.csv`;
}
