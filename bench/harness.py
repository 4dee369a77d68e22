"""Runs every line beside its peers and keeps what came out: scripts/bench [--quick] [--only LINE …]

Results go to bench/results.json (quick and full apart), line by line as they are made, and from there to docs/benchmarks.md. Every pair
is told when it is done; Ctrl-C within a line keeps the pairs that are. A timing is never a pass or a fail; an answer that differs from a
peer's is.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import time

import answers
import generate
import measure
import report

HERE = pathlib.Path(__file__).resolve().parent
RESULTS = HERE / "results.json"
PEERS = ["polars", "duckdb", "datafusion", "chdb"]


class Bench:
    def __init__(self, asked):
        self.asked = asked
        self.quick = asked.quick
        self.rows = asked.rows or (1_000_000 if asked.quick else 10_000_000)
        self.labels = asked.labels or (100_000 if asked.quick else 1_000_000)
        self.pairs = asked.pairs or (6 if asked.quick else 15)
        self.cache = asked.cache
        self.data = generate.cached(self.cache, self.rows, self.labels)
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="tress-bench.", dir=self.cache))
        self.folded = {}

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


LINES = ["reads", "tail", "serving", "last500", "fold", "dataset", "restart"]


def pair_figures(a, b):
    figures = {}
    for key in ["cpu", "wall"]:
        figures[key] = {
            "ours": measure.median(a, key), "peer": measure.median(b, key), "ratio": measure.compare(a, b, key),
            "control": measure.control(a, key), "control_peer": measure.control(b, key),
        }
    figures["pairs"] = len(a)
    figures["bytes"] = {"ours": measure.median(a, "bytes"), "peer": measure.median(b, "bytes")}
    figures["peak_rss"] = {"ours": measure.median(a, "peak_rss"), "peer": measure.median(b, "peak_rss")}
    return figures


def last_json(command):
    """Runs a contender; what it measured is the last line that it prints."""
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{shlex.join(map(str, command))} failed:\n{done.stdout[-1000:]}{done.stderr[-3000:]}")
    return json.loads(done.stdout.strip().splitlines()[-1])


def folder_bytes(folder):
    return sum(os.path.getsize(os.path.join(path, name)) for path, _, names in os.walk(folder) for name in names)


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

    found = {name: version(name) for name in ["polars", "duckdb", "datafusion", "chdb"]}
    if shutil.which("redis-server"):
        found["redis"] = subprocess.run(["redis-server", "--version"], capture_output=True, text=True).stdout.split("v=")[1].split()[0]
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", required=True)
    parser.add_argument("--cache", required=True)
    parser.add_argument("--quick", action="store_true", help="fewer pairs, less data")
    parser.add_argument("--rows", type=int, help="of the raw events (10,000,000; quick: 1,000,000)")
    parser.add_argument("--labels", type=int, help="of the training set (1,000,000; quick: 100,000)")
    parser.add_argument("--pairs", type=int, help="of runs, ours and a peer's (15; quick: 6)")
    parser.add_argument("--memory", type=int, default=256, help="megabytes of rows that the batch job holds before it spills (256)")
    parser.add_argument("--only", nargs="*", choices=LINES, default=LINES)
    asked = parser.parse_args()
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
