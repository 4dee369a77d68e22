"""docs/benchmarks.md from results: every figure beside the command that made it, and what was not measured named."""

TITLES = {
    "reads": "Reads in process",
    "serving": "gRPC beside Redis",
    "tail": "Tail bytes per event beside a Redis list",
    "last500": "Last 500 of every entity and a join, Parquet to Parquet",
    "fold": "Raw Parquet and a join into history and base, beside last 500 and the join",
    "dataset": "Training set beside DuckDB",
    "restart": "A new process with a tail's snapshot",
    "stream": "Topic to topic, beside Python's stream processors",
    "freshness": "From produce to read",
    "overload": "Memory of the stream process under too much",
    "objects": "The operator with very many objects",
    "crowd": "One pool with very many features, in real pods",
}
AIMS = {
    "reads": "p50 ≤ 2 µs and p99 ≤ 8 µs for one signal, 6 and 20 µs for three",
    "serving": "70,000 requests a second and core, no fewer than Redis; 250,000 sequences a second and core in batches; p99 < 0.5 ms at half load",
    "tail": "≤ 0.65 × Redis",
    "last500": "≤ 0.4 × wall and CPU of the best peer, sorted and shuffled; ≤ 400 MB",
    "fold": "≤ 0.8 × the best peer",
    "dataset": "DuckDB ÷ Tress ≥ 5, which is Tress ÷ DuckDB ≤ 0.2",
    "restart": "10 M events in 10 s",
    "stream": "400,000 events a second and core, which is 2.5 CPU seconds a million",
    "freshness": "p50 < 30 ms and p99 < 100 ms at half load",
    "overload": "bounded by the budgets, whatever comes, and nothing lost",
    "objects": "10,000 features and 10,000 signals in < 150 MiB; at rest no LIST and ≤ 0.1 writes a second beside the Lease; 1,000 new ones compiled in < 60 s; apply to Compiled p99 < 2 s; "
    "a new leader acts in < 20 s, after a clean handover in < 3 s",
    "crowd": "500 features in one pool, by pods that never begin anew",
}
# Of the list that a release is to be measured by, what no line measures.
NEVER = [
    "the dataset beside Feast",
    "serving beside Feast",
    "instruction counts of kernels (callgrind)",
    "memory as PSS difference beside batch peers: peaks of resident memory are shown",
]
HEAD = """# Benchmarks

Made by `make bench` (`scripts/bench`, `scripts/bench --quick`); this file is written by it. No figure here is a test.

- The data come from a seeded generator (`bench/generate.py`): Zipf users (s 0.7) and items (s 1.0), a day's rhythm, ties, null items and
  users, the lateness of public commit histories. Definitions: `bench/definitions.yaml`. All engines read the same Parquet files and write
  zstd at level 3 where they let one choose.
- The answers are compared first (`bench/answers.py`); a line whose answers differ has no figure.
- **Ratios are Tress ÷ peer, of CPU seconds, pair by pair**, alternating which comes first; in brackets a 95 % bootstrap interval. The
  *control* is the same ratio of a contender to itself: where it is far from 1, the machine was too noisy for the figure beside it.
- Process start, imports and opening an engine are outside the timed part, for all.
- Serving: the server has one core to itself, the client the other; a second of the server's CPU is what is divided by.
- On virtual machines that give memory back to their host, the first touch of a page is dear for everybody: look at ratios, not at seconds.
- The engine is built with the profile `bench-fast`: a release without link-time optimisation.
"""


def number(value, digits=2):
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.{digits}f}" if value < 100 else f"{value:.0f}"


def ratio(found):
    return f"{found['ratio']:.2f} ({found['low']:.2f} – {found['high']:.2f})" if found else "–"


def table(head, rows):
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return lines + ["| " + " | ".join(str(cell) for cell in row) + " |" for row in rows]


def made(result):
    m = result["made"]
    machine = m["machine"]
    return [
        f"`{m['command']}` on {m['at']}: {m['rows']:,} rows, {m['pairs']} pairs; {machine['cores']} cores of {machine['cpu']}, "
        f"{machine['memory_mb'] / 1024:.0f} GB, Linux {machine['kernel']}; load average {m['load'][0]} before, {m['load'][1]} after. "
        + ", ".join(f"{name} {version}" for name, version in m["versions"].items()) + "."
    ]


def reads(result):
    rows = []
    for row in result["rows"]:
        us, best = row["best"]["us"], row["best"]
        spread = sorted(r["p50"] for r in row["all"])
        rows.append([
            row["what"], f"{us['p50']:.2f}", f"{us['p99']:.2f}", f"{us['p999']:.2f}", f"{spread[0]:.2f} – {spread[-1]:.2f}",
            f"{best['cpu'] / best['reads'] * 1e6:.2f}", f"{best['clock_us']:.2f}", f"{best['rows_per_read']:.0f}", row["aim"],
        ])
    return table(["signals", "p50 µs", "p99 µs", "p99.9 µs", "p50 of all runs", "CPU µs a read", "of it the clock", "rows a read", "aim"], rows) + [
        "", "The run with the least p50 of all; columns event_time, item_id, dwell; users with 100 events or more, in random order."]


def serving(result):
    rows, opened = [], []
    for line in result["lines"]:
        what = "one entity" if line["batch"] == 1 else f"batch of {line['batch']}"
        rows.append([what, number(line["ours"]), number(line["redis"]), ratio(line["ratio"]), ratio(line["control"]), ratio(line["control_redis"]),
                     number(line["ours_per_second"]), f"{line['rows_per_sequence']:.1f}"])
        for name, key in [("Tress", "open"), ("Redis", "open_redis")]:
            for at in line[key]:
                us = at["result"]["us"]
                opened.append([what, name, f"{at['share']:.0%}", number(at["result"]["requests_per_second"]), number(us["p50"]), number(us["p99"]), number(us["p999"])])
    return (
        table(["", "Tress: sequences a CPU second", "Redis", "ratio (higher is better)", "control", "control, Redis", "Tress: requests a second", "rows a sequence"], rows)
        + ["", "Open loop, latency from the moment a request was due, as the client sees it, µs:", ""]
        + table(["", "", "of capacity", "requests a second", "p50", "p99", "p99.9"], opened)
        + ["", "Redis: LRANGE 0 99 of packed binary values of the same three columns; a batch is a pipeline. Its client is as thin as it can be; that of gRPC decodes the message."]
    )


def tail(result):
    apply = result["apply"]
    return table(
        ["events", "Tress: bytes an event", "by PSS difference", "Redis: bytes an event", "ratio", "ratio by PSS"],
        [[f"{result['events']:,}", number(result["ours"]), number(result["ours_pss"]), number(result["redis"]), f"{result['ratio']:.2f}", f"{result['ratio_pss']:.2f}"]],
    ) + [
        "",
        f"Tress holds {apply['tail_rows']:,} rows: copies are dropped where runs merge. Redis: RPUSH of the event's columns, identity and times packed; `used_memory` before and after. "
        f"Decoding, the pipeline with its lookup, the changelog's records and the tail took {apply['cpu'] / result['events'] * 1e6:.2f} CPU seconds per million events.",
    ]


def paired(result):
    rows = []
    for line in result["lines"]:
        for key in ["cpu", "wall"]:
            f = line[key]
            rows.append([line["input"], line["best"], f"{key} s", number(f["ours"]), number(f["peer"]), ratio(f["ratio"]), ratio(f["control"]), ratio(f["control_peer"])])
        for key, name in [("bytes", "MB written"), ("peak_rss", "peak MB")]:
            ours, peer = line[key]["ours"] / 1e6, line[key]["peer"] / 1e6
            rows.append([line["input"], line["best"], name, number(ours), number(peer), f"{ours / peer:.2f}", "", ""])
    made = sorted({line["cpu"]["ratio"]["pairs"] for line in result["lines"]})
    return table(["input", "best peer", "", "Tress", "peer", "ratio", "control", "control, peer"], rows) + ["", f"Made with {' and '.join(map(str, made))} pairs."]


def peers(result):
    rows = []
    for line in result["lines"]:
        for name, one in line["peers"].items():
            rows.append([line["input"], name, number(one["cpu"]), number(one["wall"]), number(one["peak_rss"] / 1e6), number(one["bytes"] / 1e6)])
    return ["", "The peers, one run each, to find the best:", "", *table(["input", "peer", "CPU s", "wall s", "peak MB", "MB written"], rows)]


def last500(result):
    rows = result["lines"][0]["answer_rows"]
    return paired(result) + [
        "", f"{rows:,} events in the answer, equal for all. Tress validates every raw event, resolves copies and versions of one event by its identity, "
        f"orders ties, and writes a row an entity with lists; the peers write a row an event, and of events with equal times keep any. It held "
        f"{result['memory_mb']} MB of rows before it spilled.",
    ] + peers(result)


def fold(result):
    return paired(result) + [
        "", "Tress writes more than the peers: the whole history with identities and versions in daily buckets, and base from it.",
    ] + peers(result)


def dataset(result):
    return paired(result) + [
        "", f"{result['labels']:,} labels, {int(result['answer'][1]):,} events in their sequences. Tress reads its history (sorted, with every column and version), DuckDB the raw Parquet, 100,000 labels at a time, because it needs tens of gigabytes for more; folding is not in this figure."]


def restart(result):
    runs = result["runs"]
    return table(
        ["events", "wall s", "CPU s", "peak MB"], [[f"{result['events']:,}", number(r["wall"], 3), number(r["cpu"], 3), number(r["peak_rss"] / 1e6)] for r in runs]
    ) + ["", "From an empty store to every event of the snapshot readable; the files are in the page cache."]


def stream(result):
    million, cpu = result["events"] / 1e6, result["cpu"]
    rows = [
        ["CPU s a million events", number(cpu["ours"] / million), number(cpu["peer"] / million), ratio(cpu["ratio"]), ratio(cpu["control"]), ratio(cpu["control_peer"])],
        ["events a second and core", number(million * 1e6 / cpu["ours"]), number(million * 1e6 / cpu["peer"]), "", "", ""],
    ]
    wall = result["wall"]
    rows += [
        ["wall s", number(wall["ours"]), number(wall["peer"]), ratio(wall["ratio"]), ratio(wall["control"]), ratio(wall["control_peer"])],
        ["events a second", number(million * 1e6 / wall["ours"]), number(million * 1e6 / wall["peer"]), "", "", ""],
    ]
    for key, name, unit in [("broker_cpu", "the broker's CPU s a million events", million), ("peak_rss", "peak MB", 1e6)]:
        ours, peer = (result[key][side] / unit for side in ("ours", "peer"))
        rows.append([name, number(ours), number(peer), f"{ours / peer:.2f}", "", ""])
    whole = sum(result["threads"].values())
    shares = sorted(result["threads"].items(), key=lambda item: -item[1])
    return table(["", "Tress", result["best"], "ratio", "control", "control, peer"], rows) + [
        "", f"Made with {cpu['ratio']['pairs']} pairs. {result['events']:,} events of twelve fields as JSON ({result['bytes'] / result['events']:.0f} bytes each) in four partitions; "
        f"{int(result['answer'][0]):,} pass the filter and are written with twelve columns: one derived, three looked up. Every column of every row was compared. Tress is the process that a "
        "cluster runs, its start and its loading of the table included; it also validates, gives each event its identity, keeps metrics and statistics of columns, and commits offsets after what "
        "they led to. The peers' start is not included. The broker runs on the same cores: its CPU is beside.",
        "", "Where the engine's CPU time goes, by threads: " + ", ".join(f"{name} {seconds / whole:.0%}" for name, seconds in shares if seconds / whole >= 0.01) + " (rdk: librdkafka).",
        "", "The peers, one run each, to find the best:", "",
        *table(["peer", "CPU s a million events", "wall s", "peak MB"], [[name, number(one["cpu"] / million), number(one["wall"]), number(one["peak_rss"] / 1e6)] for name, one in result["peers"].items()]),
        "", "bytewax: its Kafka source and sink and one step of Python for a batch, orjson; loop: the same step in a loop around confluent-kafka.",
    ]


def freshness(result):
    rows = []
    flat_out = result["flat_out"]
    for what, one in [*((f"{at['share']:.0%}", at["result"]) for at in result["shares"]), ("as fast as it goes", flat_out)]:
        wall = one["produced"]["wall"]
        cores = [one["produced"]["cpu"] / wall, one["stream"]["cpu"] / one["stream"]["wall"], one["serve"]["cpu"] / one["serve"]["wall"], one["read"]["cpu"] / one["read"]["wall"], one["broker_cpu"] / one["stream"]["wall"]]
        ms = [one["us"][key] / 1e3 for key in ("p50", "p90", "p99", "max")]
        rows.append([what, number(one["rate"]), one["read"]["probes"], *(number(value, 1) for value in ms), *(f"{value:.2f}" for value in cores)])
    head = ["load", "events a second", "probes", "p50 ms", "p90 ms", "p99 ms", "max ms", "cores: producer", "stream", "serving", "reader", "broker"]
    return table(head, rows) + [
        "", "The load is a share of what producer, broker, stream, serving and reader can do together on these cores, which is the last row: there events wait in the topic. "
        "Open loop: every event is stamped with the moment at which it was due, and producers gather 5 ms, as Kafka's own clients do. A hundred probes a second, of entities of their own, "
        "are asked for over gRPC, all 64 entities in a request, 2 ms after the reply before, until a read returns them.",
    ]


def overload(result):
    rows = []
    for row in result["rows"]:
        one = row["result"]
        produced = one["produced"]
        sent = f"{produced['events'] / produced['wall']:,.0f} a second, {produced['behind']:,} behind at the end" if produced else ""
        rows.append([
            row["what"], f"{one['events']:,}", sent, number(one["wall"]), number(one["budget"] / 2**20), number(one["first_pss"] / 2**20), number(one["peak_pss"] / 2**20),
            number(one["peak_rss"] / 2**20), f"{one['rows'] - row['different']:,}",
        ])
    return table(["", "events", "produced", "wall s", "budget of what is read, MiB", "PSS at the start, MiB", "peak PSS, MiB", "peak resident, MiB", "rows written again"], rows) + [
        "", "The budget bounds what is read and not yet published; beside it librdkafka holds up to 2 MiB of each partition that it has read ahead, and up to 64 MiB wait for the broker's "
        "acknowledgement. After each run every row was there. Rows written again are copies, which readers drop.",
    ]


def objects(result):
    rest, memory = result["rest"], result["rest"]["memory"]
    rows = [
        ["all compiled after the operator's start", f"{result['from_nothing']:.1f} s"],
        ["everything that follows from them written", f"{result['settled']:.0f} s"],
        ["resident at rest, and the most", f"{memory['VmRSS'] / 2**20:.0f} MiB, {memory['VmHWM'] / 2**20:.0f} MiB"],
        [f"at rest for {rest['seconds']} s: LISTs", f"{rest['lists']:.0f}"],
        ["writes a second beside the Lease; of the Lease", f"{rest['writes']:.2f}; {rest['lease']:.2f}"],
        ["cores", f"{rest['cpu']:.3f}"],
        [f"apply to Compiled, one at a time ({result['delay']['count']} times): p50, p99", f"{result['delay']['p50']:.2f} s, {result['delay']['p99']:.2f} s"],
        [f"{result['new']:,} new ones at once, all compiled", f"{result['burst']:.1f} s"],
        *[[f"leader {how}: until the next has compiled", f"{seconds:.1f} s"] for how, seconds in result["takeovers"].items()],
    ]
    return table([f"{result['signals']:,} signals, {result['features']:,} features, {result['namespaces']} namespaces", ""], rows) + [
        "", "A real API server over etcd and the real operator on the same cores; nobody runs jobs or pods, so attempts wait in their first phases.",
    ]


def crowd(result):
    pods = result["pods"]
    rows = [
        ["all applied, and all Ready", f"{result['seconds']['applied']:.0f} s, {result['seconds']['ready']:.0f} s"],
        ["working set of each serving pod, a minute later", ", ".join(f"{pod['bytes'] / 2**20:.0f} MiB" for pod in pods)],
        ["cores of each, with nothing to do", ", ".join(f"{pod['nanoCores'] / 1e9:.2f}" for pod in pods)],
    ]
    return table([f"{result['features']:,} features, {result['signals']} signals, {len(pods)} serving pods", ""], rows) + [
        "", "Kubernetes, Kafka, S3, the operator and every pod share the cores; each revision is prepared by a pod of its own, one after another, which is most of the time.",
    ]


def write(kept, path):
    lines = [HEAD]
    for mode, title in [("full", "Full runs"), ("quick", "Quick runs")]:
        results = kept.get(mode, {})
        lines.append(f"## {title}\n")
        if not results:
            lines.append("None yet.\n")
            continue
        if mode == "quick":
            lines.append("Fewer pairs and less data than the aims speak of: a look, not a result.\n")
        for line, name in TITLES.items():
            if line in results:
                lines += [f"### {name}", "", f"Aim: {AIMS[line]}.", "", *globals()[line](results[line]), "", *made(results[line]), ""]
        missing = [name for line, name in TITLES.items() if line not in results]
        if missing:
            lines += ["Not measured in this form yet: " + "; ".join(missing) + ".", ""]
    lines += ["## Not measured yet", "", *[f"- {item}" for item in NEVER], ""]
    path.write_text("\n".join(lines).replace("\n\n\n", "\n\n"))
