"""Runs the commands that README.md, docs/first-definition.md and docs/running.md show, in order, as a newcomer would type them.

Usage: documented_commands.py FOLDER, in which `tress` and `tress-engine` are. Commands that set this repository up (make, cargo, export)
are left out: whoever runs this has done that. docs/running.md is run as one script, with a real Kafka and a real S3 server in the places of its own.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
SETUP = ("make ", "cargo ", "export ")
EVENTS = "user_id,item_id,at\n" + "".join(f"u{n % 50},{n},{1_700_000_000 + n * 60}\n" for n in range(200))


def blocks(path):
    """The `sh` blocks of a Markdown file."""
    return re.findall(r"```sh\n(.*?)```", path.read_text(), re.S)


def commands(block):
    """The commands of a block; a here-document belongs to its command."""
    lines = iter(block.splitlines())
    for line in lines:
        command = re.sub(r"\s+#.*$", "", line).strip()
        if not command or command.startswith(("#", *SETUP)):
            continue
        if "<<'END'" in command:
            body = []
            for inner in lines:
                body.append(inner)
                if inner == "END":
                    break
            command = "\n".join([command, *body])
        yield command


def run(path, folder, environment):
    """Runs a file's commands in `folder`; `tress dev` stays in the background until the end."""
    server = None
    count = 0
    try:
        for block in blocks(path):
            for command in commands(block):
                count += 1
                if command.startswith("tress dev"):
                    log = folder / "dev.log"
                    with log.open("w") as output:
                        server = subprocess.Popen(["bash", "-c", f"exec {command}"], cwd=folder, env=environment, stdout=output, stderr=output)
                    deadline = time.monotonic() + 60
                    while "records in" not in log.read_text():
                        if server.poll() is not None or time.monotonic() > deadline:
                            sys.exit(f"{path.name}: `{command}` does not serve:\n{log.read_text()}")
                        time.sleep(0.2)
                    continue
                shell = ["bash", "-ec", command]
                done = subprocess.run(shell, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)
                if done.returncode != 0 or '"error"' in done.stdout:
                    sys.exit(f"{path.name}: `{command}` failed with {done.returncode}:\n{done.stdout}{done.stderr}")
    finally:
        if server is not None:
            server.send_signal(signal.SIGINT)
            server.wait(timeout=30)
    if server is not None and server.returncode != 0:
        sys.exit(f"{path.name}: `tress dev` ended with {server.returncode}")
    return count


def servers(folder, names):
    """Starts servers of the tests; what each says of itself."""
    for name in names:
        start = [ROOT / "e2e" / "servers" / name, "start", folder / name, "--while", str(os.getpid())]
        said = subprocess.run(start, check=True, stdout=subprocess.PIPE, text=True).stdout
        yield dict(line.split("=", 1) for line in said.splitlines() if "=" in line)


def run_with_servers(path, folder, environment):
    """Runs all of a file's commands as one script."""
    kafka, s3 = servers(folder, ["kafka", "s3"])
    places = {"localhost:9092": kafka["bootstrap"], "http://localhost:7070": s3["endpoint"], "s3://tress/": f"s3://{s3['bucket']}/"}
    script = "set -eu\ntrap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n" + "".join(blocks(path))
    for shown, is_at in places.items():
        script = script.replace(shown, is_at)
    tools = folder / "bin"
    tools.mkdir()
    library = pathlib.Path(environment.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "tress" / "kafka-4.1.1" / "lib"
    for name, program in {"kafka-topics": "TopicCommand", "kafka-console-producer": "ConsoleProducer"}.items():
        tool = tools / name
        tool.write_text(f"#!/bin/sh\nexec java -Dorg.slf4j.simpleLogger.defaultLogLevel=warn -cp '{library}/*' org.apache.kafka.tools.{program} \"$@\"\n")
        tool.chmod(0o755)
    keys = {"ACCESS_KEY_ID": "accessKeyId", "SECRET_ACCESS_KEY": "secretAccessKey"}
    environment = {**environment, "PATH": f"{tools}{os.pathsep}{environment['PATH']}", **{k: pathlib.Path(s3[v]).read_text() for k, v in keys.items()}}
    with (folder / "said").open("w+") as said:
        done = subprocess.run(["bash", "-c", script], cwd=folder, env=environment, stdout=said, stderr=said, timeout=300, check=False)
        said.seek(0)
        text = said.read()
    sequence = [line for line in text.splitlines() if line.startswith('{"profile"')]
    if done.returncode != 0 or len(sequence) != 2 or any(line.count('"item_id"') != 3 for line in sequence):
        logs = "".join(f"{log.name}:\n{log.read_text()[-2000:]}" for log in folder.glob("*.log"))
        sys.exit(f"{path.name}: it failed with {done.returncode}:\n{text[-5000:]}{logs}")
    return sum(not line.startswith((" ", "#")) for line in script.splitlines())


def main():
    binaries = pathlib.Path(sys.argv[1]).resolve()
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}"}
    runs = {"README.md": run, "docs/first-definition.md": run, "docs/running.md": run_with_servers}
    for name, how in runs.items():
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "events.csv").write_text(EVENTS)
            print(f"{name}: {how(ROOT / name, pathlib.Path(folder), environment)} commands run", flush=True)


main()
