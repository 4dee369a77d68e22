//! Schemas of fields that several kinds have.

use schemars::{Schema, SchemaGenerator, json_schema};

/// `status.conditions`: metav1's conditions, one of each type.
pub fn conditions(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "array",
        "maxItems": 24,
        "x-kubernetes-list-type": "map",
        "x-kubernetes-list-map-keys": ["type"],
        "items": {
            "type": "object",
            "required": ["type", "status", "lastTransitionTime", "reason", "message"],
            "properties": {
                "type": {"type": "string", "maxLength": 64, "pattern": "^[A-Z][A-Za-z]*$"},
                "status": {"type": "string", "enum": ["True", "False", "Unknown"]},
                "observedGeneration": {"type": "integer", "format": "int64", "description": "The generation of the spec that it speaks of."},
                "lastTransitionTime": {"type": "string", "format": "date-time", "description": "When the status became what it is."},
                "reason": {"type": "string", "minLength": 1, "maxLength": 64, "pattern": "^[A-Z][A-Za-z]*$"},
                "message": {"type": "string", "maxLength": 1024, "description": "A sentence for people."}
            }
        }
    })
}

/// A time.
pub fn time(_: &mut SchemaGenerator) -> Schema {
    json_schema!({"type": "string", "format": "date-time"})
}
