"""One pool that serves very many features: real pods on a real Kubernetes, by the test of that name, which tells what it measured."""

import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAYS = "measured "


def measure(programs, features):
    """`programs`: the folder of those that the pods run."""
    asked = {**os.environ, "TRESS_PROGRAMS": str(programs), "TRESS_FEATURES": str(features)}
    with subprocess.Popen([ROOT / "e2e/check", "crowd::", "--nocapture"], env=asked, stdout=subprocess.PIPE, text=True) as run:
        found = None
        for line in run.stdout:
            if line.startswith(SAYS):
                found = json.loads(line.removeprefix(SAYS))
            elif " are Ready after " in line:
                print(f"  {line.strip()}", flush=True)
    if run.returncode or found is None:
        raise RuntimeError("the test of the crowd did not pass; e2e/check crowd:: --nocapture says why")
    return found
