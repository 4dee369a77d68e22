"""values.schema.json and docs/reference/chart.md, held to values.yaml and to the schema of platform files.

Usage: values.py [--write]. The comment above each value in values.yaml is its description everywhere. Types and bounds are written by hand in
values.schema.json, but for `connections`, which are what a platform file has, word for word.
"""

import copy
import json
import pathlib
import re
import sys

import yaml

ROOT = pathlib.Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "tress"
PAGE = ROOT / "docs" / "reference" / "chart.md"
# The shapes of a platform file that values have as they are.
SHARED = ("connections",)

HEAD = """# Reference of the chart's values
Written from `charts/tress/values.yaml` and the schema of platform files by `scripts/chart bless`; `make test` fails when it is stale. An unknown name is
refused, and so is a value of the wrong type, before anything is installed. [Installing](../install.md) says which of them matter.

| value | type | default | what it is |
|---|---|---|---|
"""


def comments(text):
    """The comment above each key, by the key's path."""
    found, path, said = {}, [], []
    for line in text.splitlines():
        key = re.match(r"( *)([A-Za-z]+):", line)
        comment = re.match(r" *# ?(.*)", line)
        if comment:
            said.append(comment[1])
        elif key:
            depth = len(key[1]) // 2
            path = [*path[:depth], key[2]]
            found[tuple(path)] = " ".join(said)
            said = []
        else:
            said = []
    return found


def undocumented(described):
    """Values without a sentence about them."""
    return [".".join(path) for path, text in described.items() if not re.search(r"^[A-Z].*\.$", text)]


def in_schema(schema, path):
    """The schema of a value; None if there is none."""
    for key in path:
        schema = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
        if not isinstance(schema, dict):
            return None
    return schema


def assembled(schema, described, platform):
    """The schema with descriptions and shared shapes as they have to be."""
    schema = copy.deepcopy(schema)
    schema["$defs"] = platform["$defs"]
    for name in SHARED:
        schema["properties"][name] = copy.deepcopy(platform["properties"][name])
    missing = []
    for path, text in described.items():
        place = in_schema(schema, path)
        if place is None:
            missing.append(".".join(path))
            continue
        rest = {k: v for k, v in place.items() if k != "description"}
        place.clear()
        place.update({"description": text, **rest})
    return schema, missing


def lax(schema, path=""):
    """Objects that would take a name nobody knows, without saying what such a name means."""
    if isinstance(schema, list):
        return [place for n, part in enumerate(schema) for place in lax(part, f"{path}[{n}]")]
    if not isinstance(schema, dict):
        return []
    found = []
    if schema.get("type") == "object" and "additionalProperties" not in schema:
        found.append(path or "values")
    for key, part in schema.items():
        if key in ("properties", "$defs"):
            for name, inner in part.items():
                found += lax(inner, f"{path}.{name}".lstrip("."))
        elif key in ("items", "additionalProperties", "anyOf", "oneOf"):
            found += lax(part, f"{path}[]" if key == "items" else path)
    return found


# What the operator reads, by the name of its shape, and where values have it.
READ = {"PoolSettings": ("pools", "default"), "Limits": ("limits",), "NamespaceLimits": ("limits", "perNamespace"), "Engine": ("engine",), "Outputs": ("outputs",)}


def unread(schema, platform):
    """Names that values have and the operator does not read, or the other way round."""
    for shape, path in READ.items():
        there, read = set(in_schema(schema, path)["properties"]), set(platform["$defs"][shape]["properties"])
        if there != read:
            yield f"values.schema.json: {'.'.join(path)} and what the operator reads differ in {', '.join(sorted(there ^ read))}"


class Table:
    """Rows of the page."""

    def __init__(self, schema, values):
        self.schema, self.values, self.rows = schema, values, []

    def resolve(self, part):
        while True:
            options = [p for p in part.get("anyOf", []) if p.get("type") != "null"]
            if "$ref" in part:
                part = self.schema["$defs"][part["$ref"].rsplit("/", 1)[1]]
            elif options:
                part = options[0]
            else:
                return part

    def type_of(self, part):
        kinds = part.get("type")
        kind = next((k for k in kinds if k != "null"), "") if isinstance(kinds, list) else kinds
        options = part.get("enum") or [p["const"] for p in part.get("oneOf", []) if "const" in p]
        if options:
            return " \\| ".join(f"`{option}`" for option in options)
        if kind == "array":
            return f"list of {self.type_of(self.resolve(part['items']))}"
        if kind == "object" and "properties" not in part:
            return "map"
        return kind or "string"

    def fields(self, part, path, value, known):
        for name, field in part.get("properties", {}).items():
            self.field(field, [*path, name], value.get(name) if isinstance(value, dict) else None, known and isinstance(value, dict) and name in value)
        more = part.get("additionalProperties")
        # Where one of them is shown, the others are like it.
        if isinstance(more, dict) and "properties" in self.resolve(more) and "properties" not in part:
            self.field(more, [*path, "*"], None, False)

    def field(self, field, path, value, known):
        target = self.resolve(field)
        text = (field.get("description") or target.get("description") or "").replace("\n", " ").replace("|", "\\|")
        leaf = not target.get("properties") and not (isinstance(target.get("additionalProperties"), dict) and value)
        default = f"`{json.dumps(value)}`" if known and leaf else ""
        self.rows.append(f"| `{'.'.join(path)}` | {self.type_of(target)} | {default} | {text} |")
        self.fields(target, path, value, known)


def main():
    text = (CHART / "values.yaml").read_text()
    described = comments(text)
    old = (CHART / "values.schema.json").read_text()
    platform = json.loads((ROOT / "docs" / "reference" / "platform.schema.json").read_text())
    schema, missing = assembled(json.loads(old), described, platform)
    wrong = [f"values.yaml: {path} needs a comment above it that is a sentence" for path in undocumented(described)]
    wrong += [f"values.schema.json: {path} of values.yaml is not in it" for path in missing]
    wrong += [f"values.schema.json: {path} takes any name; add additionalProperties" for path in lax(schema)]
    wrong += unread(schema, platform)
    defaults = yaml.safe_load(text)
    if set(schema["properties"]) != set(defaults) | {"global"}:
        wrong.append(f"values.schema.json and values.yaml differ in {sorted(set(schema['properties']) ^ set(defaults) - {'global'})}")
    table = Table(schema, defaults)
    shown = {**schema, "properties": {k: v for k, v in schema["properties"].items() if k != "global"}}
    table.fields(shown, [], defaults, True)
    files = {CHART / "values.schema.json": json.dumps(schema, indent=2, ensure_ascii=False) + "\n", PAGE: HEAD + "\n".join(table.rows) + "\n"}
    for path, wanted in files.items():
        if "--write" in sys.argv[1:]:
            path.write_text(wanted)
        elif not path.exists() or path.read_text() != wanted:
            wrong.append(f"{path.relative_to(ROOT)} is stale: run scripts/chart bless, and look at the difference")
    if wrong:
        sys.exit("\n".join(wrong))
    print(f"{len(described)} values are documented and have a type")


main()
