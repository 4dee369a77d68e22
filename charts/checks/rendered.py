"""What has to be true of everything that the chart makes, whatever its values.

Usage: rendered.py CRDS RENDERED.yaml…
"""

import pathlib
import sys

import yaml

RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}
CLUSTER = {"ClusterRole", "ClusterRoleBinding", "CustomResourceDefinition", "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"}
# Rights over these are rights over everything else.
NEVER = {"clusterroles", "clusterrolebindings", "roles", "rolebindings", "pods/exec", "nodes", "validatingadmissionpolicies"}


def name(thing):
    return f"{thing['kind']} {thing['metadata']['name']}"


def kinds(things, crds):
    """The kinds are those of crds/yaml, and stay when the release goes."""
    made = {t["metadata"]["name"]: t for t in things if t["kind"] == "CustomResourceDefinition"}
    wanted = {c["metadata"]["name"]: c for c in (yaml.safe_load(p.read_text()) for p in sorted(pathlib.Path(crds).glob("*.yaml")))}
    if not made:
        return
    if made.keys() != wanted.keys():
        yield f"kinds differ from {crds}: {sorted(made.keys() ^ wanted.keys())}"
    for crd, wanted in wanted.items():
        if made.get(crd, {}).get("spec") != wanted["spec"]:
            yield f"CustomResourceDefinition {crd} is not what {crds} says: run scripts/chart bless"
        elif made[crd]["metadata"]["annotations"].get("helm.sh/resource-policy") != "keep":
            yield f"CustomResourceDefinition {crd} would go with the release, and all definitions with it"


def rights(things):
    """No rule has a wildcard, over nothing that gives more rights; Secrets are read by name only."""
    for thing in things:
        for rule in thing.get("rules", []) if thing["kind"] in ("Role", "ClusterRole") else []:
            words = [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            if "*" in words or any("*" in word for word in words):
                yield f"{name(thing)}: a wildcard in {rule}"
            if NEVER & set(rule["resources"]) or {"escalate", "bind", "impersonate"} & set(rule["verbs"]):
                yield f"{name(thing)}: {rule} gives more rights than it shows"
            if "secrets" in rule["resources"] and rule["verbs"] != ["create"] and not rule.get("resourceNames"):
                yield f"{name(thing)}: {rule} is not tied to names"
    bound = {(t["roleRef"]["kind"], t["roleRef"]["name"], t["metadata"].get("namespace")) for t in things if t["kind"].endswith("RoleBinding") or t["kind"] == "RoleBinding"}
    for thing in things:
        operators = thing["metadata"]["name"].startswith("tress-operator")
        if thing["kind"] in ("Role", "ClusterRole") and operators and (thing["kind"], thing["metadata"]["name"], thing["metadata"].get("namespace")) not in bound:
            yield f"{name(thing)} is bound to nobody"


def pods(things):
    """Every pod keeps to the restricted standard and to its share."""
    for thing in things:
        pod = thing["spec"] if thing["kind"] == "Pod" else thing.get("spec", {}).get("template", {}).get("spec") if thing["kind"] in ("Deployment", "Job") else None
        if pod is None:
            continue
        security = pod.get("securityContext", {})
        if not (security.get("runAsNonRoot") is True and security.get("runAsUser", 0) > 0 and security.get("seccompProfile") == {"type": "RuntimeDefault"}):
            yield f"{name(thing)}: its pods are not restricted: {security}"
        for container in pod["containers"]:
            if container.get("securityContext") != RESTRICTED:
                yield f"{name(thing)}: container {container['name']} is not restricted: {container.get('securityContext')}"
            shares = container.get("resources", {})
            if not (shares.get("requests", {}).get("cpu") and shares.get("requests", {}).get("memory") and shares.get("limits", {}).get("memory")):
                yield f"{name(thing)}: container {container['name']} has no bounds: {shares}"
            if thing["kind"] == "Deployment" and not {"startupProbe", "livenessProbe", "readinessProbe"} <= container.keys():
                yield f"{name(thing)}: container {container['name']} lacks a probe"
        if thing["kind"] != "Deployment" and pod.get("automountServiceAccountToken") is not False:
            yield f"{name(thing)}: a token is mounted where none is needed"


def places(things):
    """What has a namespace says which; selectors find the pods that they are for."""
    made = {}
    for thing in things:
        if (thing["kind"] in CLUSTER) == ("namespace" in thing["metadata"]):
            yield f"{name(thing)}: it {'has' if thing['kind'] in CLUSTER else 'lacks'} a namespace"
        key = (thing["kind"], thing["metadata"]["name"], thing["metadata"].get("namespace"))
        if key in made:
            yield f"{name(thing)} is made twice"
        made[key] = thing
    for thing in things:
        selector = {"Deployment": lambda s: s["selector"]["matchLabels"], "Service": lambda s: s["selector"], "PodDisruptionBudget": lambda s: s["selector"]["matchLabels"], "NetworkPolicy": lambda s: s["podSelector"]["matchLabels"]}.get(thing["kind"])
        labels = [t["spec"]["template"]["metadata"]["labels"] for t in things if t["kind"] == "Deployment"]
        if selector and not any(selector(thing["spec"]).items() <= of.items() for of in labels):
            yield f"{name(thing)} selects no pod of the chart"


def main():
    crds, *files = sys.argv[1:]
    wrong, counted = [], 0
    for file in files:
        things = [thing for thing in yaml.safe_load_all(pathlib.Path(file).read_text()) if thing]
        counted += len(things)
        found = [*kinds(things, crds), *rights(things), *pods(things), *places(things)]
        wrong += [f"{pathlib.Path(file).stem}: {text}" for text in found]
    if wrong or not counted:
        sys.exit("\n".join(wrong) or "nothing was rendered")
    print(f"{counted} objects of {len(files)} sets of values are as they have to be")


main()
