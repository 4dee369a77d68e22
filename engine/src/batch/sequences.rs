//! The sequences of a partition's entities, by the one read function.

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};
use arrow::compute::concat_batches;
use std::sync::Arc;
use tress_configs::column::Scalar;

use super::parts::{CHUNK, Chunk};
use crate::entity::Entity;
use crate::error::{Error, Result};
use crate::read::{Feature, Order, Outcome, Part, Query, Source, assemble};
use crate::run::{Entry, NO_FLOOR, Run};

/// An entity of a partition and what the run of each signal has of it.
struct Found {
    hash: i64,
    entity: Entity,
    entries: Vec<Option<Entry>>,
}

/// Gives the sequences that are not empty to `emit`, by hash of their entity, then by entity. `rows`: per signal, in any order.
pub fn of_partition(feature: &Feature, as_of: i64, rows: Vec<RecordBatch>, emit: &mut dyn FnMut(Chunk) -> Result<()>) -> Result<()> {
    let runs = rows.into_iter().map(Run::from_rows).collect::<Result<Vec<_>>>()?;
    let (mut entities, mut sequences) = (Vec::new(), Vec::new());
    for found in entities_of(&runs) {
        let sources: Vec<Source<'_>> = runs
            .iter()
            .zip(found.entries)
            .map(|(run, entry)| Source { parts: entry.map(|entry| Part::of_run(run, entry)).into_iter().collect(), floor: NO_FLOOR })
            .collect();
        let query = Query { order: Order::OldestFirst, ..Query::new(found.entity.clone(), as_of) };
        match assemble(feature, &sources, &query)? {
            Outcome::Complete(sequence) if sequence.rows.num_rows() == 0 => {}
            Outcome::Complete(sequence) => {
                entities.push(found.entity);
                sequences.push(sequence.rows);
            }
            Outcome::NeedMore => return Err(Error::internal("assemble: all rows of an entity were given, and still more is needed")),
        }
        if entities.len() == CHUNK {
            emit(chunk(feature, &std::mem::take(&mut entities), &std::mem::take(&mut sequences))?)?;
        }
    }
    if entities.is_empty() { Ok(()) } else { emit(chunk(feature, &entities, &sequences)?) }
}

fn chunk(feature: &Feature, entities: &[Entity], sequences: &[RecordBatch]) -> Result<Chunk> {
    Ok(Chunk {
        entities: array(entities, feature.plan().entity)?,
        lengths: sequences.iter().map(RecordBatch::num_rows).collect(),
        events: concat_batches(feature.schema(), sequences)?.columns().to_vec(),
    })
}

/// Every entity of the runs once, in order.
fn entities_of(runs: &[Run]) -> Vec<Found> {
    let mut all = Vec::new();
    for (signal, run) in runs.iter().enumerate() {
        for (index, hash) in run.directory().hashes().iter().enumerate() {
            all.push((*hash, Entity::at(run.directory().entities(), index), signal, run.directory().entry(index)));
        }
    }
    all.sort_by(|a, b| (a.0, &a.1, a.2).cmp(&(b.0, &b.1, b.2)));
    let mut found: Vec<Found> = Vec::new();
    for (hash, entity, signal, entry) in all {
        if found.last().is_none_or(|last| (last.hash, &last.entity) != (hash, &entity)) {
            found.push(Found { hash, entity, entries: vec![None; runs.len()] });
        }
        if let Some(last) = found.last_mut() {
            last.entries[signal] = Some(entry);
        }
    }
    found
}

fn array(entities: &[Entity], scalar: Scalar) -> Result<ArrayRef> {
    let wrong = || Error::corrupt("assemble: an entity is not of the feature's type");
    Ok(match scalar {
        Scalar::Int64 => {
            let numbers = entities.iter().map(|e| if let Entity::Int64(n) = e { Ok(*n) } else { Err(wrong()) });
            Arc::new(Int64Array::from(numbers.collect::<Result<Vec<_>>>()?))
        }
        _ => {
            let texts = entities.iter().map(|e| if let Entity::String(text) = e { Ok(text.as_str()) } else { Err(wrong()) });
            Arc::new(StringArray::from(texts.collect::<Result<Vec<_>>>()?))
        }
    })
}
