"""Writes identity.json: what the identity and the raw hash of events are, computed without the engine.

Needs Python and the package xxhash: python -m pip install xxhash && python engine/vectors/identity.py
The format is the table at the top of engine/src/identity.rs. The file is frozen: an engine that disagrees with it cannot read what
another one has written. New cases may be added; none may change.
"""

import base64, json, pathlib, struct
from datetime import datetime, timezone

import xxhash


def micros(text):
    delta = datetime.fromisoformat(text.replace("Z", "+00:00")) - datetime(1970, 1, 1, tzinfo=timezone.utc)
    return (delta.days * 86400 + delta.seconds) * 1_000_000 + delta.microseconds


def f32(value):
    return struct.unpack("<f", struct.pack("<f", value))[0] + 0.0


def f16(value):
    return struct.unpack("<e", struct.pack("<e", f32(value)))[0] + 0.0


SCALARS = {
    "bool": lambda v: b"\x01" + (b"\x01" if v else b"\x00"),
    "int32": lambda v: b"\x02" + struct.pack("<i", v),
    "int64": lambda v: b"\x03" + struct.pack("<q", v),
    "float16": lambda v: b"\x04" + struct.pack("<f", f16(v)),
    "float32": lambda v: b"\x04" + struct.pack("<f", f32(v)),
    "float64": lambda v: b"\x05" + struct.pack("<d", float(v) + 0.0),
    "string": lambda v: b"\x06" + struct.pack("<I", len(v.encode())) + v.encode(),
    "binary": lambda v: b"\x07" + struct.pack("<I", len(base64.b64decode(v))) + base64.b64decode(v),
    "timestamp": lambda v: b"\x08" + struct.pack("<q", micros(v)),
}
PACKED = {"int8": lambda v: struct.pack("<b", v), "float16": lambda v: struct.pack("<e", f16(v)), "float32": lambda v: struct.pack("<f", f32(v))}


def encode(column_type, value):
    if value is None:
        return b"\x00"
    scalar = column_type["scalar"]
    if column_type.get("list"):
        return b"\x09" + struct.pack("<I", len(value)) + b"".join(encode({"scalar": scalar}, v) for v in value)
    if "dim" in column_type:
        packed = b"".join(PACKED[scalar](v) for v in value)
        return b"\x0a" + struct.pack("<I", len(packed)) + packed
    return SCALARS[scalar](value)


def case(name, *values):
    data = b"".join(encode(t, v) for t, v in values)
    digest = xxhash.xxh3_64_intdigest(data, seed=0)
    signed = lambda bits, width: bits - (1 << width) if bits >> (width - 1) else bits
    return {
        "name": name,
        "values": [{"type": t, "value": v} for t, v in values],
        "bytes": data.hex(),
        "xxh3": f"{digest:016x}",
        "eventId": str(signed(digest ^ (1 << 63), 64)),
        "rawHash": signed((digest & 0xFFFFFFFF) ^ (1 << 31), 32),
    }


def scalar(name):
    return {"scalar": name}


CASES = [
    case("a rating of a user", (scalar("string"), "u1"), (scalar("timestamp"), "1970-01-01T00:01:40Z"), (scalar("int64"), 7)),
    case("an entity that is a number", (scalar("int64"), -1), (scalar("timestamp"), "1969-12-31T23:59:59.999999Z"), (scalar("string"), "")),
    case("lengths keep neighbours apart", (scalar("string"), "ab"), (scalar("string"), "c")),
    case("lengths keep neighbours apart, the other way", (scalar("string"), "a"), (scalar("string"), "bc")),
    case("letters beyond ASCII are UTF-8", (scalar("string"), "café ☕ 𝄞")),
    case("null has its own tag", (scalar("string"), None), (scalar("int32"), None), (scalar("bool"), None)),
    case("truth", (scalar("bool"), True), (scalar("bool"), False)),
    case("equal numbers of different types differ: int32", (scalar("int32"), 1)),
    case("equal numbers of different types differ: int64", (scalar("int64"), 1)),
    case("the ends of integers", (scalar("int32"), -(2**31)), (scalar("int32"), 2**31 - 1), (scalar("int64"), -(2**63)), (scalar("int64"), 2**63 - 1)),
    case("floats are rounded to their type", (scalar("float16"), 0.1), (scalar("float32"), 0.1), (scalar("float64"), 0.1)),
    case("minus zero is zero", (scalar("float16"), -0.0), (scalar("float32"), -0.0), (scalar("float64"), -0.0)),
    case("binary", (scalar("binary"), base64.b64encode(b"\x00\xff\x10").decode())),
    case("a list and its nulls", ({"scalar": "string", "list": True}, ["a", None, ""]), ({"scalar": "int64", "list": True}, [])),
    case("a list of floats", ({"scalar": "float32", "list": True}, [1.5, -0.0, 0.1])),
    case("vectors", ({"scalar": "float16", "dim": 3}, [0.1, -0.0, 65504]), ({"scalar": "float32", "dim": 1}, [0.1]), ({"scalar": "int8", "dim": 2, "scale": "1"}, [-128, 127])),
    case("more than 240 bytes take xxh3's long path", (scalar("string"), "x" * 300), (scalar("string"), "y" * 2000)),
]

if __name__ == "__main__":
    path = pathlib.Path(__file__).with_suffix(".json")
    path.write_text(json.dumps(CASES, indent=1, ensure_ascii=False) + "\n")
    print(f"{len(CASES)} cases written to {path}")
