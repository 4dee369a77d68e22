//! The same reads as HTTP and JSON, for people and notebooks; and what a cluster asks of a process.
//!
//! ```text
//! GET /v1/sequences/{namespace}/{feature}/{entity}?columns=&limit=&order=&since=&until=&as_of=&available_at=&signals=&revision=
//! GET /v1/features             GET /v1/features/{namespace}/{feature}?revision=
//! GET /metrics                 GET /healthz                GET /readyz
//! ```

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::encode::decode_dictionaries;
use super::json as write;
use super::nearest;
use super::reader::{Reader, within};
use super::readiness::Readiness;
use super::refusal::{Code, Refusal};
use super::request::{Ask, Choice, Wanted};
use crate::clock::Stopwatch;
use crate::metrics::{Call, Exposition, Metrics, Protocol};
use crate::read::Order;

type Reply = Result<Response, Refusal>;
type Pairs = Result<Query<Vec<(String, String)>>, QueryRejection>;

/// What every handler needs.
#[derive(Debug, Clone)]
pub struct Http {
    pub reader: Arc<Reader>,
    pub readiness: Arc<Readiness>,
    pub timeout: Duration,
    /// Whether the process is going away.
    pub draining: CancellationToken,
}

const PARAMETERS: [&str; 10] = ["columns", "limit", "order", "since", "until", "as_of", "available_at", "signals", "revision", "consumer"];

pub fn router(http: Http) -> Router {
    Router::new()
        .route("/v1/sequences/{namespace}/{feature}/{entity}", get(sequence))
        .route("/v1/features", get(features))
        .route("/v1/features/{namespace}/{feature}", get(describe))
        .route("/metrics", get(metrics))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .fallback(nowhere)
        .with_state(http)
}

async fn sequence(State(http): State<Http>, path: Result<Path<(String, String, String)>, PathRejection>, pairs: Pairs) -> Reply {
    let start = Stopwatch::start();
    let Path((namespace, feature, entity)) = path.map_err(|_| Refusal::invalid("path", "not UTF-8", "percent-encode it"))?;
    let wanted = wanted(&pairs_of(pairs)?)?;
    let name = format!("{namespace}/{feature}");
    let ask = Ask::Text(entity);
    let outcome = within(http.timeout, http.reader.get(&name, &ask, &wanted)).await?;
    let rows = write::rows_to_json(&decode_dictionaries(&outcome.schema, &outcome.rows)?)?;
    let reply = body(StatusCode::OK, &json!({"profile": write::profile(&outcome.profile), "rows": rows}));
    http.reader.metrics.call(Protocol::Http, Call::Get).observe(start.elapsed().as_secs_f64());
    Ok(reply)
}

async fn features(State(http): State<Http>) -> Reply {
    let all = http.reader.features().into_iter().map(|name| {
        let revisions = http.reader.revisions(&name).into_iter().map(|revision| {
            let applied = http.reader.applied_through(&name, &revision.digest);
            let mut told = write::revision(&revision);
            told["appliedThrough"] = write::optional_time(applied);
            told
        });
        json!({"feature": name.to_string(), "revisions": revisions.collect::<Vec<_>>()})
    });
    let all: Vec<Value> = all.collect();
    // Freshness is the difference: by this clock, not by the reader's.
    Ok(body(StatusCode::OK, &json!({"now": write::time(http.reader.clock.now_micros()), "features": all})))
}

async fn describe(State(http): State<Http>, path: Result<Path<(String, String)>, PathRejection>, pairs: Pairs) -> Reply {
    let start = Stopwatch::start();
    let Path((namespace, feature)) = path.map_err(|_| Refusal::invalid("path", "not UTF-8", "percent-encode it"))?;
    let mut revision = Choice::Routed;
    for (key, value) in pairs_of(pairs)? {
        match key.as_str() {
            "revision" => revision = choice(&value),
            other => return Err(unknown_parameter(other, &["revision"])),
        }
    }
    let description = http.reader.describe(&format!("{namespace}/{feature}"), &revision)?;
    http.reader.metrics.call(Protocol::Http, Call::Describe).observe(start.elapsed().as_secs_f64());
    Ok(body(StatusCode::OK, &write::description(&description)))
}

async fn metrics(State(http): State<Http>, headers: HeaderMap) -> Reply {
    Ok(expose(&http.reader.metrics, &headers)?)
}

/// All metrics, in the form that the caller accepts.
///
/// # Errors
/// `Internal` when they cannot be written.
pub(crate) fn expose(metrics: &Metrics, headers: &HeaderMap) -> crate::error::Result<Response> {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let exposition = Exposition::accepted(accept);
    Ok(([(header::CONTENT_TYPE, exposition.content_type())], metrics.encode(exposition)?).into_response())
}

async fn ready(State(http): State<Http>) -> Response {
    if http.draining.is_cancelled() {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    match http.readiness.why_not(&http.reader) {
        None => "ok\n".into_response(),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response(),
    }
}

/// Does not say the path back: an entity may stand in it.
async fn nowhere() -> Refusal {
    Refusal::new(
        Code::NotFound,
        "path",
        "there is nothing at this path",
        "see /v1/features and /v1/sequences/{namespace}/{feature}/{entity}",
    )
}

fn pairs_of(pairs: Pairs) -> Result<Vec<(String, String)>, Refusal> {
    pairs.map(|Query(pairs)| pairs).map_err(|_| Refusal::invalid("query", "cannot be read", "percent-encode it"))
}

/// Reads the parameters; each may stand once.
fn wanted(pairs: &[(String, String)]) -> Result<Wanted, Refusal> {
    let mut wanted = Wanted::default();
    for (index, (key, value)) in pairs.iter().enumerate() {
        if pairs.iter().take(index).any(|(earlier, _)| earlier == key) {
            return Err(Refusal::invalid(key, "given twice", "give it once; lists are separated by commas"));
        }
        match key.as_str() {
            "columns" => wanted.columns = list(value),
            "signals" => wanted.signals = list(value),
            "limit" => {
                let limit = value.parse().map_err(|_| Refusal::invalid("limit", "not a whole number", "give 1 to 10000"))?;
                wanted.limit = Some(limit);
            }
            "order" => {
                wanted.order = match value.as_str() {
                    "newest_first" => Order::NewestFirst,
                    "oldest_first" => Order::OldestFirst,
                    other => {
                        let help = nearest::help(other, ["newest_first", "oldest_first"]);
                        return Err(Refusal::invalid("order", format!("{} is no order", nearest::quoted(other)), help));
                    }
                }
            }
            "since" => wanted.since = Some(time("since", value)?),
            "until" => wanted.until = Some(time("until", value)?),
            "as_of" => wanted.as_of = Some(time("as_of", value)?),
            "available_at" => wanted.known_by = Some(time("available_at", value)?),
            "revision" => wanted.choice = choice(value),
            "consumer" => wanted.consumer.clone_from(value),
            other => return Err(unknown_parameter(other, &PARAMETERS)),
        }
    }
    Ok(wanted)
}

fn unknown_parameter(given: &str, known: &[&str]) -> Refusal {
    let message = format!("there is no parameter {}", nearest::quoted(given));
    Refusal::invalid("query", message, nearest::help(given, known.iter().copied()))
}

fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

fn choice(text: &str) -> Choice {
    match text {
        "" | "live" => Choice::Routed,
        "trial" => Choice::Trial,
        digest => Choice::Digest(digest.to_owned()),
    }
}

/// RFC 3339, or whole microseconds since 1970.
fn time(field: &str, text: &str) -> Result<i64, Refusal> {
    if let Ok(micros) = text.parse() {
        return Ok(micros);
    }
    // A `+` of an offset that was not percent-encoded arrives as a space.
    chrono::DateTime::parse_from_rfc3339(&text.replace(' ', "+"))
        .map(|time| time.timestamp_micros())
        .map_err(|_| Refusal::invalid(field, "not a time", "write 2024-01-31T12:00:00Z, or microseconds since 1970"))
}

fn body(status: StatusCode, value: &Value) -> Response {
    (status, [(header::CONTENT_TYPE, "application/json")], format!("{value}\n")).into_response()
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = match self.code {
            Code::InvalidArgument => StatusCode::BAD_REQUEST,
            Code::NotFound => StatusCode::NOT_FOUND,
            Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
            Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
            Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        };
        body(status, &write::refusal(&self))
    }
}
