//! The writers' schemas of a topic, as one reader's schema reads them: each resolved once.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::{StreamExt, TryStreamExt};
use parking_lot::Mutex;

use super::parse;
use super::reader::Reader;
use super::resolve::resolve;
use super::schema::Schema;
use super::step::Step;
use crate::error::Result;
use crate::registry::{Found, Schemas};

/// How many writers' schemas are kept, and how many types they may have together. Beyond that all are forgotten and made again.
const MAX_KEPT: usize = 1_000;
const MAX_KEPT_TYPES: usize = 1_000_000;
/// How many schemas are asked for at once.
const AT_ONCE: usize = 8;

/// What is known of a writer's schema.
#[derive(Debug)]
pub enum Writer {
    Readable(Program),
    /// There is one, but nothing can be read with it.
    Incompatible,
    /// There is none of that id.
    Unknown,
}

/// How records of a writer are read.
#[derive(Debug)]
pub struct Program {
    /// The writer's.
    pub schema: Schema,
    pub step: Step,
}

#[derive(Debug)]
pub struct Writers {
    reader: Reader,
    schemas: Arc<Schemas>,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    writers: BTreeMap<u32, Arc<Writer>>,
    types: usize,
}

impl Writers {
    pub fn new(reader: Reader, schemas: Arc<Schemas>) -> Self {
        Self { reader, schemas, kept: Mutex::default() }
    }

    pub fn reader(&self) -> &Schema {
        &self.reader.schema
    }

    /// What is known of the schemas of these ids: one entry each.
    ///
    /// # Errors
    /// `Unavailable` when neither lake nor registry tell now.
    pub async fn of(&self, ids: BTreeSet<u32>) -> Result<BTreeMap<u32, Arc<Writer>>> {
        let mut found = BTreeMap::new();
        let mut missing = Vec::new();
        {
            let kept = self.kept.lock();
            for id in ids {
                match kept.writers.get(&id) {
                    Some(writer) => drop(found.insert(id, Arc::clone(writer))),
                    None => missing.push(id),
                }
            }
        }
        let asked = futures::stream::iter(missing).map(|id| async move { self.ask(id).await.map(|writer| (id, Arc::new(writer))) });
        let made: Vec<(u32, Arc<Writer>)> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
        for (id, writer) in made {
            self.keep(id, &writer);
            found.insert(id, writer);
        }
        Ok(found)
    }

    async fn ask(&self, id: u32) -> Result<Writer> {
        let text = match self.schemas.by_id(id).await? {
            Found::Schema(text) => text,
            Found::Unusable(why) => return Ok(unusable(id, &why)),
            Found::None => return Ok(Writer::Unknown),
        };
        Ok(match parse::of(&text) {
            Ok(schema) => {
                let step = resolve(&schema, &self.reader);
                Writer::Readable(Program { schema, step })
            }
            Err(parse::BadSchema(why)) => unusable(id, &why),
        })
    }

    /// That there is none may change: it is asked again.
    fn keep(&self, id: u32, writer: &Arc<Writer>) {
        let types = match writer.as_ref() {
            Writer::Readable(program) => program.schema.size(),
            Writer::Incompatible => 1,
            Writer::Unknown => return,
        };
        let mut kept = self.kept.lock();
        if kept.writers.len() >= MAX_KEPT || kept.types + types > MAX_KEPT_TYPES {
            *kept = Kept::default();
        }
        if kept.writers.insert(id, Arc::clone(writer)).is_none() {
            kept.types += types;
        }
    }
}

fn unusable(id: u32, why: &str) -> Writer {
    tracing::warn!(id, why, "a writer's schema cannot be used; its records are dead letters");
    Writer::Incompatible
}
