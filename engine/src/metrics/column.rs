//! Of columns: how often a value is missing, and whether values drift.
//!
//! Nulls are counted in every row. Sketches see at most [`SAMPLE`] rows of a batch, evenly spread, and never keep a value.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use arrow::array::Array;
use arrow::datatypes::SchemaRef;
use parking_lot::Mutex;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use tress_configs::name::QualifiedName;

use super::Name;
use super::sketch::{Measures, QUANTILES, Sketch, observe};
use crate::rows::{Rows, col};

/// Rows of a batch that sketches see.
const SAMPLE: usize = 256;
/// Half of the window that sketches are of, µs.
const HALF: i64 = 600_000_000;
/// How often what sketches say is told, µs.
const TOLD: i64 = 10_000_000;

/// Of the columns of one signal. Cheap to clone.
#[derive(Debug, Clone)]
pub struct ColumnMetrics {
    columns: Arc<[Column]>,
    sketches: Arc<Mutex<Sketches>>,
    families: Families,
}

#[derive(Debug)]
struct Column {
    labels: ColumnLabels,
    values: Counter,
    nulls: Counter,
    measures: Measures,
}

#[derive(Debug)]
struct Sketches {
    of_columns: Vec<Sketch>,
    /// How many were seen.
    batches: u64,
    /// µs; `None` = not yet.
    half_began: Option<i64>,
    told: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ColumnLabels {
    signal: String,
    column: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct QuantileLabels {
    signal: String,
    column: String,
    quantile: QuantileLabel,
}

/// By its place in [`QUANTILES`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct QuantileLabel(usize);

#[derive(Debug, Clone)]
pub(super) struct Families {
    values: Family<ColumnLabels, Counter>,
    nulls: Family<ColumnLabels, Counter>,
    quantiles: Family<QuantileLabels, Gauge<f64, AtomicU64>>,
    distinct: Family<ColumnLabels, Gauge<f64, AtomicU64>>,
    top_share: Family<ColumnLabels, Gauge<f64, AtomicU64>>,
    /// Columns whose series exist, so that they can be forgotten.
    known: Arc<Mutex<HashSet<ColumnLabels>>>,
}

impl ColumnMetrics {
    /// `schema`: of the signal's rows, system columns first.
    pub(super) fn new(families: &Families, signal: &QualifiedName, schema: &SchemaRef) -> Self {
        let columns: Vec<Column> = schema
            .fields()
            .iter()
            .skip(col::SIGNAL)
            .map(|field| {
                let labels = ColumnLabels { signal: signal.to_string(), column: field.name().clone() };
                Column {
                    values: families.values.get_or_create_owned(&labels),
                    nulls: families.nulls.get_or_create_owned(&labels),
                    measures: Measures::of(field.data_type()),
                    labels,
                }
            })
            .collect();
        families.known.lock().extend(columns.iter().map(|column| column.labels.clone()));
        let of_columns = columns.iter().map(|_| Sketch::default()).collect();
        let sketches = Sketches { of_columns, batches: 0, half_began: None, told: None };
        Self { columns: columns.into(), sketches: Arc::new(Mutex::new(sketches)), families: families.clone() }
    }

    /// Counts rows. Tombstones have no values and are left out.
    pub fn observe(&self, rows: &Rows) {
        let deleted = rows.deleted().values();
        let there = rows.len() - deleted.count_set_bits();
        if there == 0 {
            return;
        }
        let mut sketches = self.sketches.lock();
        sketches.batches = sketches.batches.wrapping_add(1);
        let sample: Vec<usize> = sample(rows.len(), sketches.batches).filter(|row| !deleted.value(*row)).collect();
        for (index, (column, sketch)) in self.columns.iter().zip(&mut sketches.of_columns).enumerate() {
            let values = rows.signal_column(index);
            let nulls = match values.nulls() {
                None => 0,
                Some(_) if there == rows.len() => values.null_count(),
                Some(valid) => (&!valid.inner() & &!deleted).count_set_bits(),
            };
            column.values.inc_by(there as u64);
            column.nulls.inc_by(nulls as u64);
            observe(sketch, values, sample.iter().copied());
        }
    }

    /// Tells what sketches say, now and then; `now`: µs, UTC.
    pub fn tell(&self, now: i64) {
        let mut sketches = self.sketches.lock();
        if sketches.told.is_some_and(|told| now.saturating_sub(told) < TOLD) {
            return;
        }
        sketches.told = Some(now);
        let half_began = *sketches.half_began.get_or_insert(now);
        for (column, sketch) in self.columns.iter().zip(&sketches.of_columns) {
            self.tell_column(column, sketch);
        }
        if now.saturating_sub(half_began) >= HALF {
            sketches.half_began = Some(now);
            sketches.of_columns.iter_mut().for_each(Sketch::turn);
        }
    }

    fn tell_column(&self, column: &Column, sketch: &Sketch) {
        let summary = sketch.summary();
        let labels = &column.labels;
        if matches!(column.measures, Measures::Number | Measures::List) {
            for (place, _) in QUANTILES.iter().enumerate() {
                let labels = labels.at(place);
                if let Some(value) = summary.quantiles.and_then(|values| values.get(place).copied()) {
                    self.families.quantiles.get_or_create(&labels).set(value);
                } else {
                    self.families.quantiles.remove(&labels);
                }
            }
        }
        for (family, value) in [(&self.families.distinct, summary.distinct), (&self.families.top_share, summary.top_share)] {
            if let Some(value) = value {
                family.get_or_create(labels).set(value);
            } else {
                family.remove(labels);
            }
        }
    }
}

/// At most [`SAMPLE`] rows of so many, one of each stretch of equal length: not always the same one, or what recurs with that very length
/// would be seen always or never.
fn sample(rows: usize, batch: u64) -> impl Iterator<Item = usize> {
    let stretch = rows.div_ceil(SAMPLE).max(1);
    let place = move |start: usize| {
        let mixed = (start as u64 ^ batch.rotate_left(32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        start + usize::try_from(mixed).unwrap_or(0) % stretch
    };
    (0..rows).step_by(stretch).map(place).filter(move |row| *row < rows)
}

impl ColumnLabels {
    fn at(&self, place: usize) -> QuantileLabels {
        QuantileLabels { signal: self.signal.clone(), column: self.column.clone(), quantile: QuantileLabel(place) }
    }
}

impl Families {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let families = Self {
            values: Family::default(),
            nulls: Family::default(),
            quantiles: Family::default(),
            distinct: Family::default(),
            top_share: Family::default(),
            known: Arc::default(),
        };
        Name::ColumnValues.register(registry, families.values.clone());
        Name::ColumnNulls.register(registry, families.nulls.clone());
        Name::ColumnQuantile.register(registry, families.quantiles.clone());
        Name::ColumnDistinct.register(registry, families.distinct.clone());
        Name::ColumnTopShare.register(registry, families.top_share.clone());
        families
    }

    pub(super) fn forget(&self, signal: &QualifiedName) {
        let signal = signal.to_string();
        self.known.lock().retain(|labels| {
            if labels.signal != signal {
                return true;
            }
            self.values.remove(labels);
            self.nulls.remove(labels);
            self.distinct.remove(labels);
            self.top_share.remove(labels);
            for place in 0..QUANTILES.len() {
                self.quantiles.remove(&labels.at(place));
            }
            false
        });
    }
}

impl EncodeLabelValue for QuantileLabel {
    fn encode(&self, encoder: &mut LabelValueEncoder) -> std::fmt::Result {
        QUANTILES.get(self.0).copied().unwrap_or_default().encode(encoder)
    }
}
