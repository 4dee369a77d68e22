"""refused.py NAMESPACE FILE… : what was refused to the service accounts of a namespace for want of a right, by an API server's audit logs.

Each once, with how often. What is refused while a release goes, after its first right was deleted and before the next is made, does not
count. Ends with 1 if there is any, and with 2 if none of these accounts ever asked for anything."""

import collections
import json
import sys

namespace, *files = sys.argv[1:]
asked, refused, rights_are_gone = 0, collections.Counter(), False


def events():
    """In the order in which they were answered."""
    for file in files:
        with open(file, encoding="utf-8") as lines:
            for line in lines:
                try:
                    yield json.loads(line)
                except ValueError:
                    continue  # The last line of one that is being written.


for event in sorted(events(), key=lambda event: event["stageTimestamp"]):
    of = event.get("objectRef", {})
    if of.get("apiGroup") == "rbac.authorization.k8s.io" and of.get("namespace", namespace) == namespace:
        rights_are_gone = event["verb"] == "delete"
    if not event["user"]["username"].startswith(f"system:serviceaccount:{namespace}:"):
        continue
    asked += 1
    # Not by code: a namespace that is being deleted refuses too, whatever right somebody has.
    if event.get("annotations", {}).get("authorization.k8s.io/decision") == "forbid" and not rights_are_gone:
        what = "/".join(of[part] for part in ("apiGroup", "resource", "subresource", "namespace", "name") if of.get(part))
        refused[f"{event['user']['username']} {event['verb']} {what or event['requestURI']}"] += 1

for what, times in sorted(refused.items()):
    print(f"{times:6} x {what}")
if not asked:
    print(f"no service account of {namespace} has asked for anything", file=sys.stderr)
    sys.exit(2)
print(f"{asked} requests, {refused.total()} refused", file=sys.stderr)
sys.exit(1 if refused else 0)
