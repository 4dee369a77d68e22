"""What the peers do with a topic, each in a process of its own: python bench/streaming.py PEER BOOTSTRAP TOPIC OUT ITEMS

Every event is parsed, filtered, given a derived and three looked-up columns and written to OUT, once from the beginning of TOPIC to its end:
what bench/definitions-stream.yaml says. Prints {"wall", "cpu", "peak_rss"} of the work alone: the interpreter, imports and the items come before.
"""

import json
import sys
import time

import orjson
import pyarrow.parquet as pq
from peers import peak_resident

# As the engine's own producer has it, but for a little time to gather: here each row is a message.
PRODUCER = {"compression.type": "lz4", "linger.ms": "20", "acks": "all", "queue.buffering.max.messages": "1000000"}
PARTITIONS = 4


def items_of(path):
    columns = pq.read_table(path).to_pydict()
    # As short as they are written: a Python float has more digits than the value.
    prices = [float(f"{price:.9g}") for price in columns["price"]]
    return dict(zip(columns["item_id"], zip(columns["category"], prices, columns["brand"])))


def worker(items):
    """From the JSON of an event to (key, JSON of the row); None for what is refused."""
    loads, dumps, found, none = orjson.loads, orjson.dumps, items.get, (None, None, None)

    def work(value):
        event = loads(value)
        get = event.get
        user, kind, dwell = get("user_id"), event["kind"], get("dwell")
        if user is None or (kind == "view" and (dwell is None or dwell < 18.0)):
            return None
        item = get("item_id")
        category, price, brand = found(item, none)
        return str(user), dumps({
            "user_id": user, "ts": event["ts"], "event_no": event["event_no"],
            "item_id": item, "kind": kind, "dwell": dwell, "surface": event["surface"], "device": event["device"], "session": event["session"],
            "position": get("position"), "query": get("query"), "late": (event["seen"] - event["ts"]) // 1_000_000,
            "category": category, "price": price, "brand": brand,
        })

    return work


def bytewax(bootstrap, topic, out, work):
    import bytewax.operators as op
    from bytewax.connectors.kafka import KafkaSink, KafkaSinkMessage, KafkaSource
    from bytewax.dataflow import Dataflow
    from bytewax.testing import run_main

    def batch(messages):
        return [KafkaSinkMessage(*row) for message in messages if (row := work(message.value))]

    flow = Dataflow("click")
    source = op.input("in", flow, KafkaSource([bootstrap], [topic], tail=False))
    op.output("out", op.flat_map_batch("work", source, batch), KafkaSink([bootstrap], out, add_config=dict(PRODUCER)))
    return lambda: run_main(flow)


def loop(bootstrap, topic, out, work):
    """No framework: the client's own loop, which commits every second what it has flushed."""
    from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition

    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": "loop", "enable.auto.commit": False, "enable.partition.eof": True, "auto.offset.reset": "error"})
    consumer.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
    producer = Producer({"bootstrap.servers": bootstrap, **PRODUCER})

    def run():
        ended, committed, produce = set(), time.monotonic(), producer.produce
        while len(ended) < PARTITIONS:
            for message in consumer.consume(4096, 0.1):
                if error := message.error():
                    if error.code() != KafkaError._PARTITION_EOF:
                        raise RuntimeError(error)
                    ended.add(message.partition())
                elif row := work(message.value()):
                    produce(out, row[1], row[0])
            producer.poll(0)
            if time.monotonic() - committed >= 1 or len(ended) == PARTITIONS:
                if producer.flush(60):
                    raise RuntimeError("not everything was delivered")
                consumer.commit(asynchronous=False)
                committed = time.monotonic()

    return run


def main(peer, bootstrap, topic, out, items):
    run = globals()[peer](bootstrap, topic, out, worker(items_of(items)))
    wall, cpu = time.perf_counter(), time.process_time()
    run()
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(json.dumps({"wall": wall, "cpu": cpu, "peak_rss": peak_resident()}))


if __name__ == "__main__":
    main(*sys.argv[1:])
