"""The operator with very many objects: a real Kubernetes API server, the real operator, and nobody who runs jobs or pods.

What an operator costs is what it asks of the API server and what it remembers; both are seen here as they are in a cluster. Times are from the
creation of an object to the moment at which a watch shows that the operator has compiled it.
"""

import base64
import contextlib
import copy
import http.client
import json
import os
import pathlib
import queue
import re
import signal
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import urllib.parse

HERE = pathlib.Path(__file__).resolve().parent
GROUP = "/apis/tress.dev/v1alpha1"
PLURALS = {"SignalDefinition": "signaldefinitions", "SequenceFeature": "sequencefeatures"}
WRITES = {"POST", "PUT", "PATCH", "DELETE"}
WRITERS = 16

PLATFORM = {
    "connections": {
        "main": {"kafka": {"bootstrap": ["kafka.invalid:9092"]}, "namespaces": ["*"]},
        "lake": {"objectStore": {"url": "s3://bench/lake"}, "namespaces": ["*"]},
        "tables": {"objectStore": {"url": "s3://bench/tables"}, "namespaces": ["*"]},
    },
    "outputs": {"lake": "lake", "changelog": "main"},
    "pools": {"default": {"replicas": 2, "disk": "1Gi", "memory": "256Mi"}},
    "limits": {"perNamespace": {"features": 100_000, "runningRevisions": 100_000, "backfillParallelism": 16, "rolloutSlots": 10}},
    "engine": {"image": "tress-engine:bench", "semantics": [1, 1]},
    "quiet": "30s",
}


class Api:
    """A client that keeps one connection a thread."""

    def __init__(self, kubeconfig):
        text = pathlib.Path(kubeconfig).read_text()
        self.address = re.search(r'server: "?https://([^\s",}]+)', text).group(1)
        self.tls = ssl.create_default_context(cadata=base64.b64decode(re.search(r"certificate-authority-data: ([\w+/=]+)", text).group(1)).decode())
        with tempfile.TemporaryDirectory() as folder:
            files = []
            for what in ("client-certificate-data", "client-key-data"):
                files.append(pathlib.Path(folder, what))
                files[-1].write_bytes(base64.b64decode(re.search(what + r": ([\w+/=]+)", text).group(1)))
            self.tls.load_cert_chain(*map(str, files))
        self.local = threading.local()

    def connection(self):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPSConnection(self.address, context=self.tls, timeout=60)
        return self.local.connection

    def ask(self, verb, path, body=None, kind="application/json"):
        connection = self.connection()
        connection.request(verb, path, None if body is None else json.dumps(body), {"Content-Type": kind})
        reply = connection.getresponse()
        text = reply.read()
        if reply.status >= 300:
            raise RuntimeError(f"{verb} {path}: {reply.status} {text[:500].decode(errors='replace')}")
        return text

    def create(self, namespace, thing):
        return self.ask("POST", f"{GROUP}/namespaces/{namespace}/{PLURALS[thing['kind']]}", thing)

    def create_all(self, things):
        """In parallel, in this order: (namespace, object)."""
        todo, failed = queue.SimpleQueue(), []
        for thing in things:
            todo.put(thing)

        def work():
            with contextlib.suppress(queue.Empty):
                while not failed:
                    try:
                        self.create(*todo.get_nowait())
                    except (OSError, RuntimeError) as error:
                        failed.append(error)

        threads = [threading.Thread(target=work) for _ in range(WRITERS)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failed:
            raise RuntimeError(str(failed[0]))

    def requests(self):
        """Of all clients together, by (verb, resource): counters of the API server itself."""
        found = {}
        pattern = re.compile(r'^apiserver_request_total\{(.*)\} (\S+)$')
        for line in self.ask("GET", "/metrics").decode().splitlines():
            if match := pattern.match(line):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', match.group(1)))
                key = (labels["verb"], labels["resource"])
                found[key] = found.get(key, 0) + float(match.group(2))
        return found


class Watch(threading.Thread):
    """When each definition was seen to be compiled: (kind, namespace, name) → seconds."""

    def __init__(self, api):
        super().__init__(daemon=True)
        self.api, self.compiled, self.news = api, {}, threading.Condition()
        self.begin()

    def begin(self):
        for kind, plural in PLURALS.items():
            threading.Thread(target=self.follow, args=(kind, plural), daemon=True).start()

    def follow(self, kind, plural):
        while True:
            all_of_them = json.loads(self.api.ask("GET", f"{GROUP}/{plural}"))
            version = all_of_them["metadata"]["resourceVersion"]
            for thing in all_of_them["items"]:
                self.see(kind, thing)
            with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
                connection = http.client.HTTPSConnection(self.api.address, context=self.api.tls, timeout=600)
                query = urllib.parse.urlencode({"watch": "true", "resourceVersion": version})
                connection.request("GET", f"{GROUP}/{plural}?{query}")
                reply = connection.getresponse()
                while line := reply.readline():
                    event = json.loads(line)
                    if event["type"] == "ERROR":
                        break
                    self.see(kind, event["object"])
            time.sleep(0.2)

    def see(self, kind, thing):
        meta, status = thing["metadata"], thing.get("status", {})
        says = any(c["type"] == "Compiled" and c["status"] == "True" for c in status.get("conditions", []))
        key = (kind, meta["namespace"], meta["name"])
        if says and status.get("observedGeneration") == meta["generation"] and key not in self.compiled:
            with self.news:
                self.compiled[key] = time.monotonic()
                self.news.notify_all()

    def wait(self, keys, seconds, told):
        """Until all are compiled; the times."""
        end, shown = time.monotonic() + seconds, 0.0
        with self.news:
            while True:
                missing = sum(key not in self.compiled for key in keys)
                if not missing:
                    return [self.compiled[key] for key in keys]
                if time.monotonic() > end:
                    raise RuntimeError(f"{missing} of {len(keys)} definitions were not compiled within {seconds} s: {[k for k in keys if k not in self.compiled][:3]}")
                if time.monotonic() - shown > 5:
                    told(f"{len(keys) - missing} of {len(keys)} compiled")
                    shown = time.monotonic()
                self.news.wait(1)


def documents(text):
    """The JSON objects of a text, one after the other; of a list, its items."""
    at = 0
    while text[at:].strip():
        at += len(text[at:]) - len(text[at:].lstrip())
        found, at = json.JSONDecoder().raw_decode(text, at)
        yield from found.get("items", [found])


class Operators:
    """Processes of the operator, at most one of which leads."""

    def __init__(self, binary, kubeconfig, folder):
        self.binary, self.kubeconfig, self.folder, self.running, self.begun = binary, kubeconfig, pathlib.Path(folder), [], 0

    def start(self):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        self.begun += 1
        log = open(self.folder / f"operator-{self.begun}.log", "w")
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "HOSTNAME": f"operator-{self.begun}"}
        process = subprocess.Popen([self.binary, "run", "--namespace", "tress", "--http", f"127.0.0.1:{port}"], stdout=log, stderr=subprocess.STDOUT, env=environment)
        self.running.append(process)
        return process

    def end(self, process, how):
        process.send_signal(how)
        process.wait(60)
        self.running.remove(process)

    def close(self):
        for process in list(self.running):
            self.end(process, signal.SIGKILL)


def resident(pid):
    text = pathlib.Path(f"/proc/{pid}/status").read_text()
    return {name: int(re.search(rf"{name}:\s+(\d+)", text).group(1)) * 1024 for name in ("VmRSS", "VmHWM")}


def cpu(pid):
    ticks = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(ticks[11]) + int(ticks[12])) / os.sysconf("SC_CLK_TCK")


def quantile(values, q):
    return sorted(values)[min(len(values) - 1, int(q * len(values)))]


def measure(binary, folder, signals, features, told):
    """`signals` and `features` over 20 namespaces; what the benchmark's line shows."""
    spaces = [f"team-{n:02}" for n in range(20)]
    new = max(20, (signals + features) // 20)
    script = HERE.parent / "e2e" / "servers" / "apiserver"
    server = pathlib.Path(folder, "apiserver")
    started = subprocess.run([script, "start", server, "--while", str(os.getpid())], stdout=subprocess.PIPE, text=True)
    if started.returncode != 0:
        raise RuntimeError("the API server could not be started: what it said is above")
    where = dict(line.split("=", 1) for line in started.stdout.splitlines())
    operators = Operators(binary, where["kubeconfig"], folder)
    try:
        return run(Api(where["kubeconfig"]), where, operators, spaces, (signals, features, new), told)
    finally:
        operators.close()
        subprocess.run([script, "kill", server], check=True)


def kubectl(where, *arguments, given=None):
    done = subprocess.run([where["kubectl"], "--kubeconfig", where["kubeconfig"], *arguments], input=given, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr[-1000:]}")
    return done.stdout


def run(api, where, operators, spaces, counts, told):
    signals, features, new = counts
    kubectl(where, "apply", "--server-side", "-f", str(HERE.parent / "crds" / "yaml"))
    kubectl(where, "wait", "--for=condition=Established", "--timeout=30s", "-f", str(HERE.parent / "crds" / "yaml"))
    for name in ["tress", *spaces]:
        api.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name}})
    api.ask("POST", "/api/v1/namespaces/tress/configmaps", {"metadata": {"name": "tress-platform"}, "data": {"platform.yaml": json.dumps(PLATFORM)}})
    # From YAML by kubectl, which stores nothing here.
    text = (HERE / "definitions-stream.yaml").read_text().replace("TOPIC", "clicks").replace("namespace: bench", f"namespace: {spaces[0]}")
    items = list(documents(kubectl(where, "create", "--dry-run=client", "-o", "json", "-f", "-", given=text)))
    template = {item["kind"]: item for item in items}

    def many(kind, prefix, count, reads=None):
        for n in range(count):
            thing, space = copy.deepcopy(template[kind]), spaces[n % len(spaces)]
            thing["metadata"] = {"name": f"{prefix}-{n}", "namespace": space}
            thing["spec"]["definition"]["description"] = f"The {n}th of many."
            if kind == "SignalDefinition":
                thing["spec"]["definition"]["source"]["stream"]["topic"] = f"topic-{n % 100}"
                thing["spec"]["definition"]["executor"]["declarative"]["filter"] = f"kind <> 'view' OR dwell >= {n % 997}.5"
            else:
                thing["spec"]["definition"]["signals"][0]["name"] = f"{reads}-{n}"
            yield space, thing

    keys = lambda things: [(thing["kind"], space, thing["metadata"]["name"]) for space, thing in things]
    first = [*many("SignalDefinition", "click", signals), *many("SequenceFeature", "recent", min(features, signals), "click")]
    began = time.monotonic()
    api.create_all(first)
    created = time.monotonic() - began
    told(f"{len(first):,} objects created in {created:.0f} s")

    watch = Watch(api)
    leader = operators.start()
    began = time.monotonic()
    watch.wait(keys(first), 3600, told)
    from_nothing = time.monotonic() - began
    told(f"all compiled {from_nothing:.1f} s after the operator's start")
    settle(api, told)
    settled = time.monotonic() - began

    before, used, seconds = api.requests(), cpu(leader.pid), 60
    time.sleep(seconds)
    after = api.requests()
    rest = {key: after[key] - before.get(key, 0) for key in after if after[key] != before.get(key, 0)}
    at_rest = {
        "seconds": seconds, "cpu": (cpu(leader.pid) - used) / seconds,
        "lists": sum(n for (verb, _), n in rest.items() if verb == "LIST"),
        "lease": sum(n for (verb, resource), n in rest.items() if verb in WRITES and resource == "leases") / seconds,
        "writes": sum(n for (verb, resource), n in rest.items() if verb in WRITES and resource != "leases") / seconds,
        "memory": resident(leader.pid),
    }
    told(f"at rest: {at_rest}")

    single = list(many("SignalDefinition", "one", 100))
    delays = []
    for space, thing in single:
        begun = time.monotonic()
        api.create(space, thing)
        [seen] = watch.wait([(thing["kind"], space, thing["metadata"]["name"])], 60, lambda _: None)
        delays.append(seen - begun)
    told(f"one at a time: p50 {quantile(delays, 0.5):.3f} s, p99 {quantile(delays, 0.99):.3f} s")

    burst = [*many("SignalDefinition", "new", new // 2), *many("SequenceFeature", "newer", new - new // 2, "new")]
    begun = time.monotonic()
    api.create_all(burst)
    watch.wait(keys(burst), 600, told)
    burst_seconds = time.monotonic() - begun
    told(f"{new:,} new ones compiled in {burst_seconds:.1f} s")
    settle(api, told)

    takeovers = {}
    for name, how in [("killed", signal.SIGKILL), ("asked to end", signal.SIGTERM)]:
        standby = operators.start()
        time.sleep(15)
        begun = time.monotonic()
        operators.end(leader, how)
        [(space, thing)] = [(space, {**thing, "metadata": {**thing["metadata"], "name": f"after-{name.replace(' ', '-')}"}}) for space, thing in many("SignalDefinition", "x", 1)]
        api.create(space, thing)
        [seen] = watch.wait([(thing["kind"], space, thing["metadata"]["name"])], 300, lambda _: None)
        takeovers[name] = seen - begun
        leader = standby
        told(f"leader {name}: the next has compiled after {takeovers[name]:.1f} s")
    return {
        "signals": signals, "features": features, "namespaces": len(spaces), "new": new, "from_nothing": from_nothing, "settled": settled, "rest": at_rest,
        "delay": {"p50": quantile(delays, 0.5), "p99": quantile(delays, 0.99), "count": len(delays)}, "burst": burst_seconds, "takeovers": takeovers,
        "memory_after": resident(leader.pid),
    }


def settle(api, told, quiet=10, most=3600):
    """Until nothing but the Lease is written for a while."""
    count = lambda: sum(n for (verb, resource), n in api.requests().items() if verb in WRITES and resource != "leases")
    end, before, since = time.monotonic() + most, count(), time.monotonic()
    while time.monotonic() - since < quiet:
        if time.monotonic() > end:
            raise RuntimeError(f"the operator goes on writing for more than {most} s")
        time.sleep(2)
        if (now := count()) != before:
            told(f"{now - before:,.0f} writes")
            before, since = now, time.monotonic()
