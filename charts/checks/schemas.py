"""JSON schemas for kubeconform: of Kubernetes' own kinds from its OpenAPI document, of ours from their CustomResourceDefinitions.

Usage: schemas.py kubernetes SWAGGER.json FOLDER | schemas.py crds CRDS FOLDER. Names that a schema does not have are refused.
"""

import json
import pathlib
import sys

import yaml

EITHER = {"oneOf": [{"type": "string"}, {"type": "integer"}]}
QUANTITY = {"oneOf": [{"type": "string"}, {"type": "number"}]}


def strict(schema):
    """Without names that it does not know; with what OpenAPI says in its own way said as JSON schema."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string") is True:
        return EITHER
    keep = {name: part for name, part in schema.items() if not name.startswith("x-kubernetes-") and name not in ("description", "default", "format")}
    made = {name: strict(part) for name, part in keep.items() if name != "properties"}
    if "properties" in schema:
        made["properties"] = {name: strict(part) for name, part in schema["properties"].items()}
        if "additionalProperties" not in made and schema.get("x-kubernetes-preserve-unknown-fields") is not True:
            made["additionalProperties"] = False
    return made


def write(folder, group, version, kind, schema):
    """Where kubeconform looks: kind, the group up to its first dot, version."""
    suffix = f"-{group.split('.')[0]}-{version}" if group else f"-{version}"
    (folder / f"{kind.lower()}{suffix}.json").write_text(json.dumps(schema))


def closure(definitions, name):
    """Everything that a definition refers to, itself included."""
    found, open_ = {}, [name]
    while open_:
        name = open_.pop()
        if name not in found:
            found[name] = definitions[name]
            text = json.dumps(definitions[name]).split('"#/definitions/')
            open_ += [part.split('"', 1)[0] for part in text[1:]]
    return found


def kubernetes(swagger, folder):
    raw = json.loads(pathlib.Path(swagger).read_text())["definitions"]
    definitions = {name: strict(schema) for name, schema in raw.items()}
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = QUANTITY
    for name, schema in raw.items():
        for kind in schema.get("x-kubernetes-group-version-kind", []):
            found = {"$ref": f"#/definitions/{name}", "definitions": closure(definitions, name)}
            write(folder, kind["group"], kind["version"], kind["kind"], found)


def crds(source, folder):
    for path in sorted(pathlib.Path(source).glob("*.yaml")):
        spec = yaml.safe_load(path.read_text())["spec"]
        for version in spec["versions"]:
            schema = strict(version["schema"]["openAPIV3Schema"])
            schema["properties"] |= {"apiVersion": {"type": "string"}, "kind": {"type": "string"}, "metadata": {"type": "object"}}
            write(folder, spec["group"], version["name"], spec["names"]["kind"], schema)


def main():
    what, source, folder = sys.argv[1:]
    {"kubernetes": kubernetes, "crds": crds}[what](source, pathlib.Path(folder))


main()
