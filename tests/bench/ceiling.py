"""The ceiling: aiokafka, our decoder and one insert per batch, with no watermark, no commit and no guarantee.

A process of its own: ``python -m tests.bench.ceiling BOOTSTRAP TOPIC COUNT CLICKHOUSE_URL`` prints rate and CPU.
"""

import asyncio
import json
import sys
import time

from aiokafka import AIOKafkaConsumer

from pipeline.clickhouse.arrow import facts_table
from pipeline.core.decode import decode_batch
from pipeline.core.place import Place
from pipeline.core.records import Columns
from pipeline.worker.collector import spare_the_collector
from schemas.connection import connect_writer
from schemas.tables import FACTS

BATCH = 50_000


async def run(bootstrap: str, topic: str, count: int, url: str) -> dict[str, float]:
    """Events per second and processor time of each, from the first fetch to the last insert."""
    client = await asyncio.to_thread(connect_writer, url)
    consumer = AIOKafkaConsumer(
        topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest", max_partition_fetch_bytes=512 * 1024
    )
    await consumer.start()
    began, cpu, seen, rows, insert = time.perf_counter(), time.process_time(), 0, Columns(), None
    while seen < count:
        batch = await consumer.getmany(timeout_ms=100, max_records=20_000)
        for tp, records in batch.items():
            decode_batch(Place(*tp), records, time.time_ns() // 1_000_000, 10**12, 0, rows)
            seen += len(records)
        if len(rows) >= BATCH or seen >= count:
            if insert is not None:
                await insert
            insert = asyncio.create_task(asyncio.to_thread(client.insert_arrow, FACTS, facts_table(rows)))
            rows = Columns()
    if insert is not None:
        await insert
    took, used = time.perf_counter() - began, time.process_time() - cpu
    await consumer.stop()
    return {"rate": seen / took, "cpu_us": used / seen * 1e6}


if __name__ == "__main__":
    spare_the_collector()  # what the worker spares itself is not to be the difference
    print(json.dumps(asyncio.run(run(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))), flush=True)
