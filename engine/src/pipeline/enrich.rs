//! One enrichment: keys out of the records, its columns back, and what to put where nothing was found.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch, RecordBatchOptions, UInt32Array};
use arrow::compute::{interleave, take};
use arrow::datatypes::{Schema, SchemaRef};
use tress_configs::definition::OnMissing;
use tress_configs::plan::{EnrichmentColumn, EnrichmentPlan};

use super::assemble::Records;
use super::events::Events;
use super::layout::{Layout, Place};
use crate::decode::from_text;
use crate::error::{Context, Error, Result};
use crate::lookup::Lookup;

#[derive(Debug)]
pub(super) struct Enricher {
    name: String,
    lookup: Arc<dyn Lookup>,
    keys: Vec<Place>,
    key_schema: SchemaRef,
    columns: Vec<EnrichmentColumn>,
    /// Per column, with `onMissing: Default`: the default as an array of one value.
    defaults: Vec<Option<ArrayRef>>,
}

impl Enricher {
    pub(super) fn new(plan: &EnrichmentPlan, lookup: Arc<dyn Lookup>, layout: &Layout) -> Result<Self> {
        let EnrichmentPlan { name, lookup: table, on_missing, columns } = plan;
        let mut keys = Vec::with_capacity(table.key.len());
        for key in &table.key {
            let place = layout
                .key(&key.ours)
                .ok_or_else(|| Error::invalid(format!("enrichment {name}: there is no column {} for its key", key.ours)))?;
            let found = match place {
                Place::Raw(index) => layout.raw.field(index),
                Place::Executor(index) => layout.executor.field(index),
                Place::Enrichment { .. } => return Err(Error::internal(format!("enrichment {name}: its key is of an enrichment"))),
            };
            if *found.data_type() != key.column_type.arrow() {
                return Err(Error::invalid(format!(
                    "enrichment {name}: key {} is {}, not the {} of the plan",
                    key.ours,
                    found.data_type(),
                    key.column_type
                )));
            }
            keys.push(place);
        }
        let defaults = columns.iter().map(|column| match (on_missing, &column.default) {
            (OnMissing::Default, Some(text)) => {
                from_text(text, &column.column_type).map(Some).context(|| format!("enrichment {name}: default of column {}", column.name))
            }
            _ => Ok(None),
        });
        Ok(Self {
            name: name.clone(),
            lookup,
            keys,
            key_schema: Arc::new(Schema::new(table.key.iter().map(|k| k.column_type.field(&k.ours, true)).collect::<Vec<_>>())),
            columns: columns.clone(),
            defaults: defaults.collect::<Result<_>>()?,
        })
    }

    /// Where the values of its key are.
    pub(super) fn keys(&self) -> &[Place] {
        &self.keys
    }

    /// The columns, one value a record; sets the enrichment's bit of every record whose key was found.
    pub(super) async fn enrich(&self, events: &Events, records: &mut Records, bit: usize) -> Result<Vec<ArrayRef>> {
        let rows = records.event.len();
        let event = UInt32Array::from(records.event.clone());
        let keys = self.keys.iter().map(|place| match place {
            Place::Raw(index) => Ok(take(events.fields.column(*index), &event, None)?),
            Place::Executor(index) | Place::Enrichment { column: index, .. } => Ok(records.own.column(*index).clone()),
        });
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        let keys = RecordBatch::try_new_with_options(self.key_schema.clone(), keys.collect::<Result<_>>()?, &options)?;
        let as_of = Events::timestamps(records.event.iter().map(|e| events.available_at.value(*e as usize)).collect());
        let found = self.lookup.lookup(&keys, &as_of).await.context(|| format!("enrichment {}", self.name))?;
        let aligned = found.found.len() == rows
            && found.columns.len() == self.columns.len()
            && found.columns.iter().zip(&self.columns).all(|(c, plan)| c.len() == rows && *c.data_type() == plan.column_type.arrow());
        if !aligned {
            return Err(Error::internal(format!(
                "enrichment {}: what was found does not align with the keys or is of other types",
                self.name
            )));
        }
        for (record, bits) in records.found.iter_mut().enumerate() {
            *bits |= i32::from(found.found.value(record)) << bit;
        }
        found
            .columns
            .into_iter()
            .zip(&self.defaults)
            .map(|(column, default)| match default {
                // A row that was found and has no value gets it too: the column is declared never to be null.
                Some(default) if column.null_count() > 0 => {
                    let pick: Vec<(usize, usize)> = (0..rows).map(|row| if column.is_valid(row) { (0, row) } else { (1, 0) }).collect();
                    Ok(interleave(&[column.as_ref() as &dyn Array, default.as_ref()], &pick)?)
                }
                Some(_) | None => Ok(column),
            })
            .collect()
    }
}
