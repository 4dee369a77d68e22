//! A signal and rows of it, for tests.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeBinaryArray, Int32Array, Int64Array, ListBuilder, RecordBatch, StringArray, StringBuilder,
    TimestampMicrosecondArray,
};
use tress_configs::SignalPlan;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::definition::{Bucket, OnInvalid, TimeUnit};
use tress_configs::name::QualifiedName;
use tress_configs::plan::*;

use super::History;
use crate::entity::Entity;
use crate::lake::Lake;
use crate::rows::row_schema;

pub const DAY: i64 = 86_400_000_000;

pub fn plan() -> SignalPlan {
    let field = |name: &str, scalar| FieldPlan {
        name: name.into(),
        column_type: ColumnType::scalar(scalar),
        nullable: false,
        path: vec![name.into()],
    };
    let column = |name: &str, column_type| ColumnPlan {
        name: name.into(),
        column_type,
        nullable: true,
        field_id: field_id(name),
        origin: Origin::Raw,
    };
    SignalPlan {
        version: PLAN_VERSION,
        semantics: SEMANTICS,
        name: QualifiedName::new("movies", "rating"),
        schema_version: 1,
        entity: EntityPlan { field: "user".into(), scalar: Scalar::String },
        event: EventPlan {
            time: TimePlan { field: "ts".into(), unit: TimeUnit::Micros },
            available_at: AvailableAtPlan::RecordTimestamp,
            id: vec!["item".into()],
            version: None,
            delete: None,
            fields: vec![field("user", Scalar::String), field("item", Scalar::Int64), field("ts", Scalar::Int64)],
        },
        source: SourcePlan {
            filter: None,
            stream: StreamPlan { connection: "main".into(), topic: "ratings".into(), format: FormatPlan::Json },
            batch: BatchPlan::Archive,
        },
        on_invalid: OnInvalid::DeadLetter,
        max_future_skew_ms: 600_000,
        bucket: Bucket::Day,
        lateness_ms: 0,
        retention_ms: None,
        executor: ExecutorPlan::Declarative { filter: None, derive: Vec::new() },
        enrichments: Vec::new(),
        columns: vec![
            column("item", ColumnType::scalar(Scalar::Int64)),
            column("title", ColumnType::scalar(Scalar::String)),
            column("genres", ColumnType::list(Scalar::String)),
            column("embedding", ColumnType::vector(Scalar::Float16, 2)),
        ],
        shards: 4,
    }
}

/// The system columns that tests vary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    pub entity: String,
    pub time: i64,
    pub item: i64,
    pub version: i64,
    pub available: i64,
    pub deleted: bool,
    /// (partition, offset)
    pub at: (i32, i64),
    pub backfill: i32,
}

pub fn event(entity: &str, time: i64, item: i64) -> Event {
    Event { entity: entity.into(), time, item, version: time, available: time, deleted: false, at: (0, 0), backfill: 1 }
}

/// Rows of [`plan`], in the order given.
pub fn rows(events: &[Event]) -> RecordBatch {
    let schema = row_schema(&plan());
    let int64 = |f: &dyn Fn(&Event) -> i64| Arc::new(Int64Array::from_iter_values(events.iter().map(f))) as ArrayRef;
    let int32 = |f: &dyn Fn(&Event) -> i32| Arc::new(Int32Array::from_iter_values(events.iter().map(f))) as ArrayRef;
    let micros = |f: &dyn Fn(&Event) -> i64| {
        Arc::new(TimestampMicrosecondArray::from_iter_values(events.iter().map(f)).with_timezone("UTC")) as ArrayRef
    };
    let mut genres = ListBuilder::new(StringBuilder::new());
    for event in events {
        genres.append_value((0..event.item.rem_euclid(3)).map(|g| Some(format!("genre {g}"))));
    }
    let vectors: Vec<[u8; 4]> = events.iter().map(|e| (e.item as u32).to_le_bytes()).collect();
    let columns: Vec<ArrayRef> = vec![
        Arc::new(StringArray::from_iter_values(events.iter().map(|e| &e.entity))),
        int64(&|e| Entity::String(e.entity.clone()).hash()),
        micros(&|e| e.time),
        int64(&|e| e.item.wrapping_mul(0x9e37_79b9)),
        int32(&|_| 0),
        int64(&|e| e.version),
        int32(&|e| e.version as i32),
        micros(&|e| e.available),
        Arc::new(BooleanArray::from_iter(events.iter().map(|e| Some(e.deleted)))),
        int32(&|_| 1),
        int32(&|e| e.at.0),
        int64(&|e| e.at.1),
        int32(&|e| e.backfill),
        int64(&|e| e.item),
        Arc::new(StringArray::from_iter(events.iter().map(|e| (!e.deleted).then(|| format!("title {}", e.item))))),
        Arc::new(genres.finish()),
        Arc::new(FixedSizeBinaryArray::try_from_iter(vectors.iter()).unwrap_or_else(|_| FixedSizeBinaryArray::new_null(4, 0))),
    ];
    RecordBatch::try_new(schema, columns).unwrap()
}

pub fn history(folder: &std::path::Path) -> History {
    History::new(Lake::local(folder).unwrap(), "s1", Arc::new(plan()))
}
