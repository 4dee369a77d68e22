//! A signal to test with: ratings of movies, with everything a definition can say.

use std::collections::BTreeMap;

use bytes::Bytes;
use tress_configs::SignalPlan;
use tress_configs::column::{ColumnType, Scalar};
use tress_configs::definition::{Bucket, OnInvalid, OnMissing, TimeUnit};
use tress_configs::name::QualifiedName;
use tress_configs::plan::{
    AvailableAtPlan, BatchPlan, ColumnPlan, DerivePlan, EnrichmentColumn, EnrichmentPlan, EntityPlan, EventPlan, ExecutorPlan, Expression,
    FieldPlan, FormatPlan, LookupKey, Origin, PLAN_VERSION, SEMANTICS, SHARDS, SourcePlan, StreamPlan, TableLookupPlan, TimePlan, field_id,
};

use crate::log::Record;

pub(crate) fn expression(sql: &str, scalar: Scalar) -> Expression {
    Expression { sql: sql.to_owned(), column_type: ColumnType::scalar(scalar), nullable: true }
}

pub(crate) fn field(name: &str, column_type: ColumnType) -> FieldPlan {
    FieldPlan { name: name.to_owned(), column_type, nullable: true, path: vec![name.to_owned()] }
}

pub(crate) fn required(name: &str, column_type: ColumnType) -> FieldPlan {
    FieldPlan { nullable: false, ..field(name, column_type) }
}

pub(crate) fn column(name: &str, column_type: ColumnType, origin: Origin) -> ColumnPlan {
    ColumnPlan { name: name.to_owned(), column_type, nullable: true, field_id: field_id(name), origin }
}

/// `kind = 'rating'`; deleted by `op = 'd'`; kept from 0.5 on; `liked` derived; version `updated_at`.
pub(crate) fn ratings() -> SignalPlan {
    use Scalar::{Bool, Float16, Float32, Int64, String, Timestamp};
    let scalar = ColumnType::scalar;
    SignalPlan {
        version: PLAN_VERSION,
        semantics: SEMANTICS,
        name: QualifiedName::new("movies", "rating"),
        schema_version: 1,
        entity: EntityPlan { field: "user_id".into(), scalar: String },
        event: EventPlan {
            time: TimePlan { field: "ts".into(), unit: TimeUnit::Seconds },
            available_at: AvailableAtPlan::RecordTimestamp,
            id: vec!["item_id".into()],
            version: Some("updated_at".into()),
            delete: Some(expression("op = 'd'", Bool)),
            fields: vec![
                required("user_id", scalar(String)),
                required("item_id", scalar(Int64)),
                required("rating", scalar(Float32)),
                required("ts", scalar(Int64)),
                required("kind", scalar(String)),
                field("op", scalar(String)),
                field("updated_at", scalar(Int64)),
                FieldPlan { path: vec!["context".into(), "surface".into()], ..field("surface", scalar(String)) },
                FieldPlan { path: vec!["context".into(), "at".into()], ..field("shown_at", scalar(Timestamp)) },
                field("tags", ColumnType::list(String)),
                field("scores", ColumnType::list(Scalar::Float64)),
                field("taste", ColumnType::vector(Float16, 2)),
                field("half", scalar(Float16)),
                field("small", scalar(Scalar::Int32)),
                field("blob", scalar(Scalar::Binary)),
                field("flag", scalar(Bool)),
            ],
        },
        source: SourcePlan {
            filter: Some(expression("kind = 'rating'", Bool)),
            stream: StreamPlan { connection: "main".into(), topic: "ratings".into(), format: FormatPlan::Json },
            batch: BatchPlan::Archive,
        },
        on_invalid: OnInvalid::DeadLetter,
        max_future_skew_ms: 600_000,
        bucket: Bucket::Day,
        lateness_ms: 3 * 86_400_000,
        retention_ms: None,
        executor: ExecutorPlan::Declarative {
            filter: Some(expression("rating >= 0.5", Bool)),
            derive: vec![
                DerivePlan { name: "liked".into(), expr: expression("rating >= 4.0", Bool) },
                DerivePlan { name: "share".into(), expr: expression("100 / item_id", Int64) },
            ],
        },
        enrichments: Vec::new(),
        columns: vec![
            column("item_id", scalar(Int64), Origin::Raw),
            column("rating", scalar(Float32), Origin::Raw),
            column("liked", scalar(Bool), Origin::Executor),
            column("share", scalar(Int64), Origin::Executor),
            column("surface", scalar(String), Origin::Raw),
            column("tags", ColumnType::list(String), Origin::Raw),
            column("taste", ColumnType::vector(Float16, 2), Origin::Raw),
        ],
        shards: SHARDS,
    }
}

/// `ratings`, enriched from the table `movies` by its key `movie_id`.
pub(crate) fn enriched(on_missing: OnMissing) -> SignalPlan {
    let mut plan = ratings();
    let columns = [
        ("title", ColumnType::scalar(Scalar::String), Some("none")),
        ("genres", ColumnType::list(Scalar::String), None),
        ("embedding", ColumnType::vector(Scalar::Float16, 3), Some("0.5")),
    ];
    plan.columns.extend(columns.iter().map(|(name, column_type, _)| column(name, column_type.clone(), Origin::Enrichment(0))));
    plan.enrichments = vec![EnrichmentPlan {
        name: "movie".into(),
        lookup: TableLookupPlan {
            connection: "lake".into(),
            table: "movies".into(),
            key: vec![LookupKey { ours: "item_id".into(), theirs: "movie_id".into(), column_type: ColumnType::scalar(Scalar::Int64) }],
            valid_from: Some("loaded_at".into()),
        },
        on_missing,
        columns: columns
            .into_iter()
            .map(|(name, column_type, default)| EnrichmentColumn { name: name.into(), column_type, default: default.map(str::to_owned) })
            .collect(),
    }];
    plan
}

/// An order with line items, exploded into one record an item.
pub(crate) fn orders() -> SignalPlan {
    let mut plan = ratings();
    plan.event.fields = vec![
        required("user_id", ColumnType::scalar(Scalar::String)),
        required("ts", ColumnType::scalar(Scalar::Int64)),
        required("order_id", ColumnType::scalar(Scalar::String)),
        field("item_ids", ColumnType::list(Scalar::Int64)),
        field("prices", ColumnType::list(Scalar::Float32)),
    ];
    plan.event.id = vec!["order_id".into()];
    plan.event.version = None;
    plan.event.delete = None;
    plan.source.filter = None;
    let options = [("list", "item_ids, prices"), ("as", "item_id, price"), ("position", "place")];
    let columns = [("item_id", Scalar::Int64), ("price", Scalar::Float32), ("place", Scalar::Int32)];
    plan.executor = ExecutorPlan::Builtin {
        name: "explode".into(),
        options: options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect::<BTreeMap<_, _>>(),
        columns: columns
            .iter()
            .map(|(name, scalar)| tress_configs::plan::NamedType { name: (*name).into(), column_type: ColumnType::scalar(*scalar) })
            .collect(),
    };
    plan.columns = columns.iter().map(|(name, scalar)| column(name, ColumnType::scalar(*scalar), Origin::Executor)).collect();
    plan.columns.push(column("order_id", ColumnType::scalar(Scalar::String), Origin::Raw));
    plan
}

/// Records at offsets from 0 on, each stamped a second after the one before it, from second 1000 on.
pub(crate) fn records<T: AsRef<str>>(payloads: &[T]) -> Vec<Record> {
    payloads
        .iter()
        .enumerate()
        .map(|(i, payload)| Record {
            offset: i as i64,
            timestamp: (1000 + i as i64) * 1000,
            key: None,
            payload: Bytes::copy_from_slice(payload.as_ref().as_bytes()),
            headers: Vec::new(),
        })
        .collect()
}
