//! The schemas of a schema registry, as every process sees the same.
//!
//! ```text
//! Schemas ─▶ memory ─▶ copies in the lake ─▶ contract ─▶ http ─▶ registry
//! ```
//! An id means one schema for ever. So each that was ever used is kept in the lake, and read from there first: history can be made again
//! when the registry is gone, and two runtimes never read the same record differently. Where a registry is pointed at another
//! address, it is another registry.

mod answers;
mod contract;
mod copies;
mod http;
mod memory;
#[cfg(test)]
pub(crate) mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use self::contract::{Contract, Subject};
pub use self::http::{Password, Settings};
use self::memory::Memory;
use crate::error::{Error, ErrorKind, Result};
use crate::lake::Lake;

/// The longest schema, its references included.
pub const MAX_SCHEMA_BYTES: usize = 1 << 20;

/// A schema as it was registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SchemaText {
    pub id: u32,
    pub language: Language,
    pub schema: String,
    /// What it refers to, each after those that it refers to itself.
    pub references: Vec<String>,
}

/// What a schema is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Language {
    Avro,
    /// Protobuf, JSON Schema, or what may come: nothing that is read here.
    Other,
}

/// What there is under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    Schema(Arc<SchemaText>),
    /// There is one that is not taken; why.
    Unusable(String),
    None,
}

/// The reader's schema of a signal revision: fixed when the revision is prepared.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ReaderSchema {
    /// Identity of the registry.
    pub registry: String,
    pub subject: String,
    pub version: i32,
    pub id: u32,
}

/// The schemas of one registry.
#[derive(Debug)]
pub struct Schemas {
    lake: Lake,
    identity: String,
    /// `None` = there is no way to it; what was kept can be read.
    contract: Option<Contract>,
    memory: Memory,
}

impl Schemas {
    /// Those of a registry that can be asked.
    #[must_use]
    pub fn of(contract: Contract, lake: Lake) -> Self {
        Self { lake, identity: contract.identity().to_owned(), contract: Some(contract), memory: Memory::default() }
    }

    /// Those that were kept of a registry that nobody leads to any more.
    #[must_use]
    pub fn kept(identity: &str, lake: Lake) -> Self {
        Self { lake, identity: identity.to_owned(), contract: None, memory: Memory::default() }
    }

    /// Who the registry is.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The schema of an id. Whoever asks for the same one meanwhile waits for the same answer.
    ///
    /// # Errors
    /// `Unavailable` when neither lake nor registry tell now; `Corrupt` when the copy in the lake is damaged.
    pub async fn by_id(&self, id: u32) -> Result<Found> {
        // Registries count in 31 bits: beyond them there is nothing, and nobody needs to be asked, who might not know what to say.
        if i32::try_from(id).is_err() {
            return Ok(Found::None);
        }
        self.memory.get(id, || self.look(id)).await
    }

    async fn look(&self, id: u32) -> Result<Found> {
        if let Some(copy) = copies::read(&self.lake, &self.identity, id).await? {
            return Ok(Found::Schema(Arc::new(copy)));
        }
        match self.contract()?.schema(id).await {
            // Kept before anything is read with it.
            Ok(Some(text)) => Ok(Found::Schema(Arc::new(copies::keep(&self.lake, &self.identity, text).await?))),
            Ok(None) => Ok(Found::None),
            Err(e) if e.kind() == ErrorKind::Invalid => Ok(Found::Unusable(e.to_string())),
            Err(e) => Err(e),
        }
    }

    /// Fixes the schema that a subject has in a version (`None` = in its newest one).
    ///
    /// # Errors
    /// `NotFound` when the registry has no such subject or version; `Invalid` when the registry was made anew, so that its ids mean
    /// other schemas than those that were kept; `Unavailable` when it does not answer.
    pub async fn pin(&self, subject: &str, version: Option<i32>) -> Result<(ReaderSchema, SchemaText)> {
        let Subject { version, text } = self.contract()?.subject(subject, version).await?;
        let kept = copies::keep(&self.lake, &self.identity, text.clone()).await?;
        if !copies::say_the_same(&kept, &text) {
            return Err(Error::invalid(format!(
                "registry {}: its schema {} is another one than it was; a registry that was made anew needs an address of its own",
                self.identity, text.id
            )));
        }
        let reader = ReaderSchema { registry: self.identity.clone(), subject: subject.to_owned(), version, id: text.id };
        Ok((reader, kept))
    }

    /// The schema that was fixed.
    ///
    /// # Errors
    /// `Invalid` when it is of another registry; `NotFound` when neither lake nor registry have it any more.
    pub async fn pinned(&self, reader: &ReaderSchema) -> Result<Arc<SchemaText>> {
        let ReaderSchema { registry, subject, version, id } = reader;
        if *registry != self.identity {
            return Err(Error::invalid(format!("subject {subject}: its schema is of registry {registry}, not of {}", self.identity)));
        }
        match self.by_id(*id).await? {
            Found::Schema(text) => Ok(text),
            Found::Unusable(why) => Err(Error::invalid(why)),
            Found::None => Err(Error::not_found(format!(
                "subject {subject}, version {version}: schema {id} of registry {registry} is neither in the lake nor in the registry any more; restore {} from a copy",
                crate::layout::schema(registry, *id)
            ))),
        }
    }

    fn contract(&self) -> Result<&Contract> {
        self.contract.as_ref().ok_or_else(|| {
            let why = format!("registry {}: no connection leads to it; give the connection its registry: {{url: …}}", self.identity);
            Error::new(ErrorKind::Unavailable, why)
        })
    }
}
