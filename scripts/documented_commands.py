"""Runs the commands that README.md and docs/first-definition.md show, in order, as a newcomer would type them.

Usage: documented_commands.py TRESS. Commands that set this repository up (make, cargo, export) are left out: whoever runs this has done that.
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


def main():
    tress = pathlib.Path(sys.argv[1]).resolve()
    environment = {**os.environ, "PATH": f"{tress.parent}{os.pathsep}{os.environ['PATH']}"}
    for path in (ROOT / "README.md", ROOT / "docs" / "first-definition.md"):
        with tempfile.TemporaryDirectory() as folder:
            (pathlib.Path(folder) / "events.csv").write_text(EVENTS)
            print(f"{path.relative_to(ROOT)}: {run(path, pathlib.Path(folder), environment)} commands run")


main()
