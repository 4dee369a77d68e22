"""refused.py NAMESPACE FILE… : what was refused to the service accounts of a namespace for want of a right, by an API server's audit logs.

Each once, with how often. Two kinds do not count: what is refused while a release goes, after its first right was deleted and before the
next is made; and what the same account was allowed later, with no right of the release changed in between: an API server that has just
begun answers before it has read who may do what. Ends with 1 if there is any, and with 2 if none of these accounts ever asked for anything."""

import collections
import json
import sys

namespace, *files = sys.argv[1:]
asked, too_early, rights_are_gone = 0, 0, False
refused = collections.Counter()
since_rights_changed = collections.Counter()


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
    user = event["user"]["username"]
    changes = event["verb"] in ("create", "update", "patch", "delete") and user != "system:apiserver"  # It looks after its own rights.
    if changes and of.get("apiGroup") == "rbac.authorization.k8s.io" and of.get("namespace", namespace) == namespace:
        rights_are_gone = event["verb"] == "delete"
        refused += since_rights_changed
        since_rights_changed.clear()
    if not user.startswith(f"system:serviceaccount:{namespace}:"):
        continue
    asked += 1
    what = "/".join(of[part] for part in ("apiGroup", "resource", "subresource", "namespace", "name") if of.get(part))
    what = f"{user} {event['verb']} {what or event['requestURI']}"
    # Not by code: a namespace that is being deleted refuses too, whatever right somebody has.
    decision = event.get("annotations", {}).get("authorization.k8s.io/decision")
    if decision == "allow":
        too_early += since_rights_changed.pop(what, 0)
    elif decision == "forbid" and not rights_are_gone:
        since_rights_changed[what] += 1
refused += since_rights_changed

for what, times in sorted(refused.items()):
    print(f"{times:6} x {what}")
if not asked:
    print(f"no service account of {namespace} has asked for anything", file=sys.stderr)
    sys.exit(2)
print(f"{asked} requests, {refused.total()} refused, and {too_early} before the API server knew the rights", file=sys.stderr)
sys.exit(1 if refused else 0)
