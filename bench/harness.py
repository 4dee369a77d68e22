"""Runs every line beside its peers and keeps what came out: scripts/bench [--quick] [--only LINE …]

Results go to bench/results.json (quick and full apart), line by line as they are made, and from there to docs/benchmarks.md. Every pair
is told when it is done; Ctrl-C within a line keeps the pairs that are. A timing is never a pass or a fail; an answer that differs from a
peer's is.
"""

import argparse
import collections
import contextlib
import datetime
import functools
import json
import os
import pathlib
import platform
import shlex
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time

import answers
import crowd
import generate
import many
import measure
import report

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PEERS = ["polars", "duckdb", "datafusion", "chdb"]
STREAM_PEERS = ["bytewax", "loop"]


class Bench:
    def __init__(self, asked):
        self.asked = asked
        self.quick = asked.quick
        self.rows = asked.rows or (1_000_000 if asked.quick else 10_000_000)
        self.labels = asked.labels or (100_000 if asked.quick else 1_000_000)
        self.pairs = asked.pairs or (6 if asked.quick else 15)
        self.cache = asked.cache
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="tress-bench.", dir=self.cache))
        self.folded = {}
        self.revisions = 0

    @functools.cached_property
    def data(self):
        return generate.cached(self.cache, self.rows, self.labels)

    @functools.cached_property
    def streamed(self):
        return generate.cached_stream(self.cache, self.rows)

    def close(self):
        shutil.rmtree(self.scratch, ignore_errors=True)

    def fresh(self, name):
        folder = self.scratch / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        return str(folder)

    def ours(self, *arguments, pin=None):
        command = (["taskset", "-c", pin] if pin else []) + [self.asked.binary, *map(str, arguments)]
        return last_json(command)

    def peer(self, line, name, data):
        """The result and the files that it wrote."""
        out = self.fresh("peer")
        result = last_json([sys.executable, str(HERE / "peers.py"), line, name, data, out])
        result["bytes"] = sum(file.stat().st_size for file in pathlib.Path(out).glob("*.parquet"))
        return result, f"{out}/*.parquet"

    def lake(self, *signals):
        """A lake with these signals folded; made once."""
        if signals not in self.folded:
            folder = self.fresh("lake-" + "-".join(s.split("=")[0] for s in signals))
            self.ours("fold", "--data", f"{self.data}/sorted", "--lake", folder, *[a for s in signals for a in ("--signal", s)])
            self.folded[signals] = folder
        return self.folded[signals]

    def deployed(self, command, broker, topic, *more):
        """A command about the engine's own process: a new revision of the signal, in a lake of its own."""
        self.revisions += 1
        where = ["--engine", self.asked.engine, "--bootstrap", broker.bootstrap, "--data", self.streamed, "--folder", self.fresh("deployed")]
        return self.ours(command, *where, "--topic", topic, "--uid", f"click-{self.revisions}", "--broker", broker.pid, *more)

    def fill(self, broker, topic, rows, *more):
        return self.ours("fill", "--bootstrap", broker.bootstrap, "--data", self.streamed, "--topic", topic, "--partitions", 4, "--rows", rows, *more)

    @contextlib.contextmanager
    def topic(self, broker, name, partitions):
        """A topic with nothing in it, deleted afterwards."""
        where = ["topic", "--bootstrap", broker.bootstrap, "--topic", name]
        self.ours(*where, "--partitions", partitions)
        yield name
        self.ours(*where)

    # Lines. Each returns what the report shows.

    def reads(self):
        """Last 100 x 3 columns in process, resident; one and three signals."""
        rows = []
        count = 50_000 if self.quick else 500_000
        for feature, signals, aim in [
            ("last100", ["event=last100"], "p50 ≤ 2 µs, p99 ≤ 8 µs"),
            ("last100of3", ["view=last100of3", "cart=last100of3", "buy=last100of3"], "p50 ≤ 6 µs, p99 ≤ 20 µs"),
        ]:
            lake = self.lake(*signals)
            results = [
                self.ours("reads", "--data", f"{self.data}/sorted", "--lake", lake, "--feature", feature, "--reads", count, pin="1")
                for _ in range(3 if self.quick else 15)
            ]
            best = min(results, key=lambda r: r["us"]["p50"])
            rows.append({"what": f"{len(signals)} signal{'s' * (len(signals) > 1)}", "aim": aim, "best": best, "all": [r["us"] for r in results]})
        return {"rows": rows}

    def tail(self):
        """Tail bytes per event beside a Redis list of the same events."""
        data = f"{self.data}/sorted"
        ours = self.ours("tail", "--data", data, "--lake", self.fresh("tail"))
        with redis(pin=None) as (address, pid):
            before = redis_info(address, "memory")["used_memory"]
            theirs = self.ours("tail", "--data", data, "--lake", self.fresh("tail"), "--redis", address)
            theirs["used_memory"] = int(redis_info(address, "memory")["used_memory"]) - int(before)
        assert ours["delivered"] == theirs["delivered"], (ours, theirs)
        events = ours["delivered"]
        return {
            "events": events,
            "ours": ours["tail_bytes"] / events,
            "ours_pss": ours["pss_difference"] / events,
            "redis": theirs["used_memory"] / events,
            "ratio": ours["tail_bytes"] / theirs["used_memory"],
            "ratio_pss": ours["pss_difference"] / theirs["used_memory"],
            "apply": ours,
        }

    def serving(self):
        """gRPC, one entity and batches of 100, beside Redis LRANGE 100: server on one core, client on the other."""
        if os.cpu_count() < 2:
            raise RuntimeError("two cores are needed: one for the server, one for the client")
        data, lake = f"{self.data}/sorted", self.lake("event=last100")
        lines = []
        with server(self.asked.binary, data, lake) as (grpc, grpc_pid), redis(pin="0") as (address, redis_pid):
            self.ours("fill-redis", "--data", data, "--lake", lake, "--redis", address)
            # Fails where an answer differs.
            self.ours("check", "--data", data, "--grpc", f"http://{grpc}", "--redis", address)

            def load(target, pid, batch, **more):
                options = [a for k, v in more.items() for a in (f"--{k}", v)]
                return self.ours("load", "--data", data, "--target", target, "--pid", pid, "--batch", batch, *options, pin="1")

            seconds = 2 if self.quick else 5
            for batch in [1, 100]:
                def a():
                    return load(f"http://{grpc}", grpc_pid, batch, seconds=seconds, concurrency=64 if batch == 1 else 8)

                def b():
                    return load(f"redis://{address}", redis_pid, batch, seconds=seconds, concurrency=64 if batch == 1 else 8)

                a(), b()
                ours, theirs = self.pair(a, b)
                mean = lambda results: sum(r["rows"] for r in results) / sum(r["sequences"] for r in results)
                key = "sequences_per_cpu_second"
                capacity = measure.median(ours, "requests_per_second")
                lines.append({
                    "batch": batch, "rows_per_sequence": mean(ours),
                    "ours": measure.median(ours, key), "redis": measure.median(theirs, key),
                    "ours_per_second": capacity, "redis_per_second": measure.median(theirs, "requests_per_second"),
                    "ratio": measure.compare(ours, theirs, key), "control": measure.control(ours, key), "control_redis": measure.control(theirs, key),
                    "open": [
                        {"share": share, "result": load(f"http://{grpc}", grpc_pid, batch, seconds=seconds, concurrency=256, rate=capacity * share)}
                        for share in (0.25, 0.5, 0.75)
                    ],
                    "open_redis": [
                        {"share": share, "result": load(f"redis://{address}", redis_pid, batch, seconds=seconds, concurrency=256, rate=measure.median(theirs, "requests_per_second") * share)}
                        for share in (0.25, 0.5, 0.75)
                    ],
                })
        return {"lines": lines}

    def pair(self, a, b):
        """Pairs of two contenders; what is told begins with the time that has passed."""
        began = time.time()
        return measure.pairs(a, b, self.pairs, lambda text: print(f"  {time.time() - began:6.0f} s  {text}", flush=True))

    def newest(self, data):
        """What each batch peer says of the newest 500 and the join, run once: figures by peer, and the answer that all agree on."""
        expected, first = None, {}
        for name in PEERS:
            first[name], path = self.peer("last500", name, data)
            found = answers.sequences(path, 500)
            expected = expected or found
            assert found == expected, f"{name} answers otherwise than {PEERS[0]}: {found} {expected}"
            print(f"  {name}: cpu {first[name]['cpu']:.3g}, wall {first[name]['wall']:.3g}", flush=True)
        return expected, first

    def last500(self):
        """Raw Parquet to Parquet: the last 500 of every entity with the join, nothing stored in between."""
        lines = []
        for order in ["sorted", "shuffled"]:
            data = f"{self.data}/{order}"
            expected, first = self.newest(data)

            def ours(*more):
                to = self.fresh("everyone")
                return self.ours("everyone", "--data", data, "--lake", self.fresh("lake"), "--to", to, "--memory", self.asked.memory, *more)

            checked = self.scratch / "answers.parquet"
            ours("--answers-to", checked)
            found = answers.sequences(checked, 500, ts=answers.EPOCH)
            assert found == expected, f"the batch job answers otherwise than the peers: {found} {expected}"
            best = min(first, key=lambda name: first[name]["cpu"])
            a, b = self.pair(ours, lambda: self.peer("last500", best, data)[0])
            lines.append({"input": order, "answer_rows": int(expected[0]), "peers": first, "best": best, **pair_figures(a, b)})
        return {"lines": lines, "memory_mb": self.asked.memory}

    def fold(self):
        """Raw Parquet joined with items, into history and base (last 500), beside last 500 + join by the peers."""
        lines = []
        for order in ["sorted", "shuffled"]:
            data = f"{self.data}/{order}"
            expected, first = self.newest(data)

            def ours(*more):
                lake = self.fresh("fold")
                result = self.ours("fold", "--data", data, "--lake", lake, "--signal", "event=last500", *more)
                result["bytes"] = folder_bytes(lake)
                return result

            checked = self.scratch / "answers.parquet"
            ours("--answers", "last500", "--answers-to", checked)
            found = answers.sequences(checked, 500, ts=answers.EPOCH)
            assert found == expected, f"history and base answer otherwise than the peers: {found} {expected}"
            best = min(first, key=lambda name: first[name]["cpu"])
            a, b = self.pair(ours, lambda: self.peer("last500", best, data)[0])
            lines.append({"input": order, "answer_rows": int(expected[0]), "peers": first, "best": best, **pair_figures(a, b)})
        return {"lines": lines}

    def dataset(self):
        """Labels x last 200, strictly before the label and known by then, beside DuckDB's range join and top N."""
        data, lake = f"{self.data}/sorted", self.lake("event=last100")

        def ours():
            to = self.fresh("dataset")
            result = self.ours("dataset", "--data", data, "--lake", lake, "--to", to)
            result["bytes"] = folder_bytes(to)
            return result

        ours()
        found = answers.training(f"{self.scratch}/dataset/dataset/*.parquet", ts=answers.EPOCH_LIST)
        expected = answers.training(self.peer("dataset", "duckdb", data)[1])
        assert found == expected, f"the dataset differs from DuckDB's: {found} {expected}"
        a, b = self.pair(ours, lambda: self.peer("dataset", "duckdb", data)[0])
        return {"labels": self.labels, "answer": expected, "lines": [{"input": "sorted", "best": "duckdb", **pair_figures(a, b)}]}

    def restart(self):
        """A new process with a tail's snapshot: until everything can be read."""
        data, lake = f"{self.data}/sorted", self.fresh("restart")
        made = self.ours("tail", "--data", data, "--lake", lake, "--snapshot")
        runs = [self.ours("restart", "--data", data, "--lake", lake) for _ in range(3)]
        assert all(r["tail_rows"] == made["tail_rows"] for r in runs), (made, runs)
        return {"events": made["tail_rows"], "runs": runs}


    def stream(self):
        """Topic to topic: parse, filter, derive, look up, write; the engine's own process beside bytewax and a plain loop of the client's."""
        with kafka(self.fresh("kafka")) as broker:
            filled = self.fill(broker, "clicks", self.rows)

            def ours(*more):
                return self.deployed("stream", broker, "clicks", *more)

            def peer(name, to=None):
                # As many partitions as a changelog has.
                with self.topic(broker, "out", 16) as out:
                    before = process_seconds(broker.pid)
                    result = last_json([sys.executable, HERE / "streaming.py", name, broker.bootstrap, "clicks", out, f"{self.streamed}/items.parquet"])
                    result["broker_cpu"] = process_seconds(broker.pid) - before
                    if to:
                        self.ours("lines", "--bootstrap", broker.bootstrap, "--topic", out, "--to", to)
                return result

            rows, lines, first = self.scratch / "rows.parquet", self.scratch / "rows.json", {}
            ours("--rows-to", rows)
            found = answers.streamed(f"SELECT *, entity AS user_id, epoch_us(event_time) AS ts FROM read_parquet('{rows}')")
            for name in STREAM_PEERS:
                first[name] = peer(name, lines)
                expected = answers.streamed(answers.LINES.format(path=lines))
                assert found == expected, f"the stream writes other rows than {name}: {found} {expected}"
                print(f"  {name}: cpu {first[name]['cpu']:.3g}, wall {first[name]['wall']:.3g}", flush=True)
            lines.unlink()
            rows.unlink()
            best = min(first, key=lambda name: first[name]["cpu"])
            a, b = self.pair(ours, lambda: peer(best))
        threads = {name: statistics.median(r["threads"].get(name, 0) for r in a) for name in sorted({name for r in a for name in r["threads"]})}
        figures = pair_figures(a, b, sizes=["peak_rss", "broker_cpu"])
        return {"events": filled["rows"], "bytes": filled["bytes"], "answer": found, "peers": first, "best": best, "threads": threads, **figures}

    def freshness(self):
        """From the moment an event is due at the producer until a read returns it, at shares of what the whole chain can do."""
        with kafka(self.fresh("kafka")) as broker:

            def run(name, rate, seconds):
                with self.topic(broker, name, 4) as topic:
                    result = self.deployed("freshness", broker, topic, "--rate", rate, "--seconds", seconds)
                print(f"  {name}: {result['rate']:,.0f} events/s, p50 {result['us']['p50'] / 1e3:.1f} ms, p99 {result['us']['p99'] / 1e3:.1f} ms", flush=True)
                return result

            flat_out = run("flat-out", 0, 6 if self.quick else 15)
            shares = [(share, run(f"share-{share}", flat_out["rate"] * share, 10 if self.quick else 60)) for share in (0.25, 0.5, 0.75)]
        return {"flat_out": flat_out, "shares": [{"share": share, "result": result} for share, result in shares]}

    def overload(self):
        """Memory of the stream process while more comes than it can do, and while the broker stands still."""
        rows = []
        with kafka(self.fresh("kafka")) as broker:

            def run(what, topic, expected, *more):
                to = self.scratch / "ids.parquet"
                result = self.deployed("stream", broker, topic, "--rows-to", to, "--columns", "event_id", *more)
                wanted = expected(result) if callable(expected) else expected
                different = answers.different(to, "event_id")
                assert different == wanted, f"{what}: {different} different rows were written, not {wanted}"
                print(f"  {what}: peak {result['peak_pss'] / 1e6:.0f} MB", flush=True)
                rows.append({"what": what, "different": different, "result": result})
                return result

            events = f"{self.streamed}/events.parquet"
            megabytes, stands = (300, 5) if self.quick else (3_000, 15)
            for what, least, most, mean in [("1 kB", 1_000, 1_000, 1_300), ("1 to 64 kB", 1_000, 64_000, 15_500)]:
                count = megabytes * 1_000_000 // mean
                count = min(count, self.rows)
                with self.topic(broker, f"large-{most}", 4) as topic:
                    self.fill(broker, topic, count, "--sizes", f"{least}..{most}")
                    passing = answers.passing(events, count)
                    run(f"{what}, prefilled", topic, passing)
                    run(f"{what}, prefilled; the broker stands still for {stands} s", topic, passing, "--pause", f"0.2+{stands}")
            with self.topic(broker, "small", 4) as topic:
                self.fill(broker, topic, self.rows)
                small = run("small, prefilled", topic, answers.passing(events, self.rows))
            rate = 2 * small["events"] / small["wall"]
            with self.topic(broker, "twice", 4) as topic:
                produced = lambda result: answers.passing_again(events, result["produced"])
                run("small, produced at twice the capacity", topic, produced, "--rate", rate, "--seconds", 10 if self.quick else 60)
        return {"rows": rows, "rate": rate}

    def objects(self):
        """The operator with 10,000 features and 10,000 signals: what it costs, and how soon it acts."""
        count = 1_000 if self.quick else 10_000
        return many.measure(self.asked.operator, self.fresh("objects"), count, count, lambda text: print(f"  {text}", flush=True))

    def crowd(self):
        """One pool of real pods with 500 features: how long until all are served, and what the pods take."""
        return crowd.measure(pathlib.Path(self.asked.operator).parent.absolute(), 50 if self.quick else 500)


LINES = ["reads", "tail", "serving", "last500", "fold", "dataset", "restart", "stream", "freshness", "overload", "objects", "crowd"]


def pair_figures(a, b, sizes=("bytes", "peak_rss")):
    """Ratios of CPU and wall seconds with their controls, and the medians of other figures."""
    figures = {}
    for key in ["cpu", "wall"]:
        figures[key] = {
            "ours": measure.median(a, key), "peer": measure.median(b, key), "ratio": measure.compare(a, b, key),
            "control": measure.control(a, key), "control_peer": measure.control(b, key),
        }
    figures["pairs"] = len(a)
    for key in sizes:
        figures[key] = {"ours": measure.median(a, key), "peer": measure.median(b, key)}
    return figures


def last_json(command):
    """Runs a contender; what it measured is the last line that it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(map(str, command))} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names)


Broker = collections.namedtuple("Broker", "bootstrap pid")


@contextlib.contextmanager
def kafka(folder):
    """A real Apache Kafka of this line's own. Nothing in it is ever too old, and what is deleted goes at once."""
    script, settings = HERE.parent / "e2e" / "servers" / "kafka", "log.retention.ms=-1\nlog.segment.delete.delay.ms=1000\n"
    environment = {**os.environ, "TRESS_KAFKA_SETTINGS": settings}
    started = subprocess.run([script, "start", folder, "--while", str(os.getpid())], stdout=subprocess.PIPE, text=True, env=environment)
    if started.returncode != 0:
        raise RuntimeError("Kafka could not be started: what it said is above")
    try:
        address = dict(line.split("=", 1) for line in started.stdout.splitlines())
        yield Broker(address["bootstrap"], int(pathlib.Path(folder, "pid").read_text()))
    finally:
        subprocess.run([script, "kill", folder], check=True)


def process_seconds(pid):
    """CPU seconds of a process, ended threads included."""
    ticks = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def server(binary, data, lake):
    command = ["taskset", "-c", "0", binary, "serve", "--data", data, "--lake", lake]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        said = json.loads(process.stdout.readline())
        yield said["grpc"], said["pid"]
    finally:
        process.stdin.close()
        process.wait(60)


@contextlib.contextmanager
def redis(pin):
    program = shutil.which("redis-server")
    if not program:
        raise RuntimeError("redis-server is missing: apt-get install redis-server, or put one on the PATH")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = (["taskset", "-c", pin] if pin else []) + [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no", "--daemonize", "no"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, cwd=tempfile.gettempdir())
    try:
        for _ in range(100):
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"127.0.0.1:{port}", process.pid
    finally:
        process.terminate()
        process.wait(60)


def redis_info(address, section):
    host, port = address.split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"INFO {section}\r\nQUIT\r\n".encode())
        text = b""
        while part := connection.recv(1 << 16):
            text += part
    return dict(line.split(":", 1) for line in text.decode().splitlines() if ":" in line)


def machine():
    model = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    memory = int(next(line for line in open("/proc/meminfo") if line.startswith("MemTotal")).split()[1]) // 1024
    return {"cpu": model, "cores": os.cpu_count(), "memory_mb": memory, "kernel": platform.release()}


def versions():
    from importlib.metadata import version

    found = {name: version(name) for name in [*PEERS, "bytewax", "confluent-kafka", "orjson"]}
    found["Apache Kafka"] = next(line.split("=")[1] for line in open(HERE.parent / "e2e" / "servers" / "kafka") if line.startswith("version=")).strip()
    if shutil.which("redis-server"):
        found["redis"] = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout.split("v=")[1].split()[0]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--engine", help="its binary; without it the one beside --binary")
    parser.add_argument("--operator", help="its binary; without it the one beside --binary")
    parser.add_argument("--cache", required=True)
    parser.add_argument("--quick", action="store_true", help="fewer pairs, less data")
    parser.add_argument("--rows", type=int, help="of the raw events (10,000,000; quick: 1,000,000)")
    parser.add_argument("--labels", type=int, help="of the training set (1,000,000; quick: 100,000)")
    parser.add_argument("--pairs", type=int, help="of runs, ours and a peer's (15; quick: 6)")
    parser.add_argument("--memory", type=int, default=256, help="megabytes of rows that the batch job holds before it spills (256)")
    parser.add_argument("--only", nargs="*", choices=LINES, default=LINES)
    asked = parser.parse_args()
    asked.engine = asked.engine or pathlib.Path(asked.binary).with_name("tress-engine")
    asked.operator = asked.operator or pathlib.Path(asked.binary).with_name("tress-operator")
    bench = Bench(asked)
    command = "scripts/bench" + (" --quick" if asked.quick else "") + "".join(f" --{k} {v}" for k in ["rows", "labels", "pairs"] if (v := getattr(asked, k)))
    failed = []
    try:
        for line in asked.only:
            began, load = time.time(), os.getloadavg()[0]
            print(f"▶ {line}", flush=True)
            try:
                result = getattr(bench, line)()
            except (AssertionError, RuntimeError) as error:
                print(f"✗ {line}: {error}", file=sys.stderr, flush=True)
                failed.append(line)
                continue
            result["made"] = {
                "command": f"{command} --only {line}", "at": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
                "seconds": round(time.time() - began), "load": [round(load, 1), round(os.getloadavg()[0], 1)],
                "rows": bench.rows, "labels": bench.labels, "pairs": bench.pairs, "machine": machine(), "versions": versions(),
            }
            kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else {}
            kept.setdefault("quick" if bench.quick else "full", {})[line] = result
            RESULTS.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
            report.write(kept, HERE.parent / "docs" / "benchmarks.md")
            print(f"  {result['made']['seconds']} s", flush=True)
    finally:
        bench.close()
    if failed:
        sys.exit(f"not measured: {', '.join(failed)}")


if __name__ == "__main__":
    main()
