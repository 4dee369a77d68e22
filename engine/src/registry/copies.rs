//! Copies of schemas in the lake: put once, never changed.

use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{MAX_SCHEMA_BYTES, SchemaText};
use crate::error::{Context, Error, Result};
use crate::lake::Lake;
use crate::layout;

/// The format of a copy.
const VERSION: u32 = 1;
/// The longest file: the text of JSON in JSON, every letter escaped.
const MAX_FILE_BYTES: u64 = 8 * MAX_SCHEMA_BYTES as u64;

#[derive(Serialize, Deserialize)]
struct Copy {
    version: u32,
    #[serde(flatten)]
    text: Value,
}

/// The copy of a schema; `None` when there is none.
///
/// # Errors
/// `Corrupt` when it is damaged; `Invalid` when a newer program wrote it.
pub async fn read(lake: &Lake, registry: &str, id: u32) -> Result<Option<SchemaText>> {
    let path = layout::schema(registry, id);
    let doing = || format!("read {path}");
    let found = match lake.store().get(&path).await {
        Ok(found) => found,
        Err(object_store::Error::NotFound { .. }) => return Ok(None),
        Err(e) => return Err(e).context(doing),
    };
    let damaged =
        || Error::corrupt("not a copy of this schema; restore it, or delete it if the registry still has the schema").while_doing(doing());
    if found.meta.size > MAX_FILE_BYTES {
        return Err(damaged());
    }
    let bytes = found.bytes().await.context(doing)?;
    let Copy { version, text } = serde_json::from_slice(&bytes).map_err(|e| damaged().with_source(e))?;
    if version > VERSION {
        return Err(Error::invalid(format!("format {version} is not known here; use a newer program")).while_doing(doing()));
    }
    let text: SchemaText = serde_json::from_value(text).map_err(|e| damaged().with_source(e))?;
    if text.id == id { Ok(Some(text)) } else { Err(damaged()) }
}

/// Keeps a schema unless one of its id is kept; returns the one that is.
///
/// # Errors
/// When the lake does not answer.
pub async fn keep(lake: &Lake, registry: &str, text: SchemaText) -> Result<SchemaText> {
    let path = layout::schema(registry, text.id);
    let as_json = || {
        let copy = Copy { version: VERSION, text: serde_json::to_value(&text)? };
        serde_json::to_string_pretty(&copy)
    };
    let json = as_json().map_err(|e| Error::internal(format!("write {path}")).with_source(e))?;
    let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
    match lake.store().put_opts(&path, PutPayload::from(json), options).await {
        Ok(_) => Ok(text),
        Err(object_store::Error::AlreadyExists { .. } | object_store::Error::Precondition { .. }) => {
            let kept = read(lake, registry, text.id).await?;
            kept.ok_or_else(|| {
                Error::new(crate::error::ErrorKind::Conflict, format!("write {path}: it came and went meanwhile; try again"))
            })
        }
        Err(e) => Err(e).context(|| format!("write {path}")),
    }
}

/// Whether two texts are the same schema, however they are laid out.
pub fn say_the_same(a: &SchemaText, b: &SchemaText) -> bool {
    let same = |a: &String, b: &String| {
        a == b || matches!((serde_json::from_str::<Value>(a), serde_json::from_str::<Value>(b)), (Ok(a), Ok(b)) if a == b)
    };
    a.language == b.language
        && same(&a.schema, &b.schema)
        && a.references.len() == b.references.len()
        && a.references.iter().zip(&b.references).all(|(a, b)| same(a, b))
}
