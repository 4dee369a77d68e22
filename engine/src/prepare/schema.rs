//! The schema that a revision's records are read as: looked up once, fixed in the revision, kept in the lake.

use std::sync::Arc;

use tress_configs::SignalPlan;
use tress_configs::plan::FormatPlan;

use super::Revision;
use crate::decode::Decoder;
use crate::error::{Context, Error, Result};
use crate::platform::Platform;
use crate::registry::ReaderSchema;

/// The decoder of a revision.
///
/// # Errors
/// `Invalid` when the revision's schema does not have the plan's fields; `NotFound` when it is neither in the lake nor in the registry any
/// more; `Unavailable` when they do not answer.
pub async fn decoder(platform: &Platform, plan: &SignalPlan, revision: &Revision) -> Result<Arc<Decoder>> {
    let decoder = match (&plan.source.stream.format, &revision.reader) {
        (FormatPlan::Json, _) => Decoder::new(plan)?,
        (FormatPlan::Avro { .. }, Some(reader)) => {
            let schemas = platform.schemas_of(&plan.source.stream.connection, &reader.registry)?;
            let text = schemas.pinned(reader).await?;
            Decoder::avro(plan, &text, schemas).context(|| subject(reader))?
        }
        (FormatPlan::Avro { .. }, None) => {
            return Err(Error::corrupt(format!("signal revision {}: its record names no schema; restore it from a copy", revision.uid)));
        }
    };
    Ok(Arc::new(decoder))
}

/// The same, of a revision whose record may have to be read.
///
/// # Errors
/// As [`decoder`]; `NotFound` when the format needs a schema and the revision was not prepared.
pub async fn decoder_of(platform: &Platform, plan: &SignalPlan, uid: &str) -> Result<Arc<Decoder>> {
    if plan.source.stream.format == FormatPlan::Json {
        return Decoder::new(plan).map(Arc::new);
    }
    let revision = super::read(platform, uid).await?;
    let revision = revision.ok_or_else(|| Error::not_found(format!("signal revision {uid}: it was not prepared; prepare it first")))?;
    decoder(platform, plan, &revision).await
}

/// Looks the plan's schema up, checks the declared fields against it, and keeps it. `None` = its format needs none.
///
/// # Errors
/// `Invalid` with all that is wrong by name; `NotFound` when the registry has no such subject or version; `Unavailable` when it does not
/// answer.
pub async fn fix(platform: &Platform, plan: &SignalPlan) -> Result<Option<ReaderSchema>> {
    let FormatPlan::Avro { subject: name, version } = &plan.source.stream.format else {
        Decoder::new(plan)?;
        return Ok(None);
    };
    let schemas = platform.schemas(&plan.source.stream.connection)?;
    let (reader, text) = schemas.pin(name, *version).await?;
    Decoder::avro(plan, &text, schemas).context(|| subject(&reader))?;
    Ok(Some(reader))
}

fn subject(reader: &ReaderSchema) -> String {
    format!("subject {}, version {}", reader.subject, reader.version)
}
