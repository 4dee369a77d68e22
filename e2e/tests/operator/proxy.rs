//! Stands between an operator and the API server: sees every call, and refuses, delays or loses some, or ends the operator at one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{Method, StatusCode};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use kube::Client;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

/// The most bytes of a body: no object is larger.
const MAX_BODY: usize = 8 << 20;

/// What an operator talks to.
#[derive(Debug)]
pub struct Proxy {
    pub address: SocketAddr,
    pub calls: Calls,
    wire: Arc<Wire>,
    _listening: DropGuard,
}

/// Every call that was made, in order.
#[derive(Debug, Clone, Default)]
pub struct Calls(Arc<Mutex<Vec<Call>>>);

/// A call of an operator.
#[derive(Debug, Clone)]
pub struct Call {
    pub at: Instant,
    pub method: Method,
    /// With its query.
    pub path: String,
    /// `None` = the server was not asked, or did not answer.
    pub status: Option<u16>,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fortune {
    Done,
    Late(Duration),
    /// The server says so, and does nothing.
    Refused(u16),
    /// It is done, and the operator does not hear of it.
    Unanswered,
    /// The operator is killed, and it is not done.
    KilledBefore,
    /// It is done, and the operator is killed before it hears of it.
    KilledAfter,
}

/// Given every call that would write: what becomes of it.
pub type Rule = Box<dyn FnMut(&Call) -> Fortune + Send>;

struct Wire {
    client: Client,
    calls: Calls,
    rule: Mutex<Rule>,
    kill: Box<dyn Fn() + Send + Sync>,
    /// Cancelled while the server is away.
    away: Mutex<CancellationToken>,
    /// Cancelled when the watches of this moment end.
    watches: Mutex<CancellationToken>,
    /// Watches that begin before then are told that what they ask for is too old.
    expired: Mutex<Option<Instant>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Wire").finish_non_exhaustive()
    }
}

impl Call {
    pub fn writes(&self) -> bool {
        self.method != Method::GET
    }

    /// The lease is written all the time.
    pub fn is_of_lease(&self) -> bool {
        self.path.contains("/leases")
    }

    /// Whether it changes what is there, but for the lease.
    pub fn changes(&self) -> bool {
        self.writes() && !self.is_of_lease()
    }

    pub fn watches(&self) -> bool {
        self.method == Method::GET && self.path.contains("watch=true")
    }

    /// Whether it lists a kind, rather than watching it or reading one object.
    pub fn lists(&self) -> bool {
        let path = self.path.split('?').next().unwrap_or_default();
        let plural = path.rsplit('/').next().unwrap_or_default();
        let is_kind = crate::kinds::all().iter().any(|kind| kind.plural == plural);
        self.method == Method::GET && is_kind && !self.watches()
    }
}

impl std::fmt::Display for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let path = self.path.split('?').next().unwrap_or_default();
        write!(f, "{} {path} → {:?}", self.method, self.status)
    }
}

impl Calls {
    pub fn all(&self) -> Vec<Call> {
        self.0.lock().unwrap().clone()
    }

    /// Those that changed something, but for the lease.
    pub fn changes(&self) -> Vec<Call> {
        self.all().into_iter().filter(|call| call.changes() && call.status.is_some_and(|s| s < 300)).collect()
    }

    fn note(&self, call: Call) {
        self.0.lock().unwrap().push(call);
    }
}

impl Proxy {
    /// `kill` ends the operator at once.
    pub async fn start(client: Client, rule: Rule, kill: Box<dyn Fn() + Send + Sync>) -> Self {
        let calls = Calls::default();
        let wire = Arc::new(Wire {
            client,
            calls: calls.clone(),
            rule: Mutex::new(rule),
            kill,
            away: Mutex::default(),
            watches: Mutex::default(),
            expired: Mutex::default(),
        });
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let app = Router::new().fallback(forward).with_state(Arc::clone(&wire));
        let stopped = stop.clone();
        tokio::spawn(async move { stopped.run_until_cancelled(async { axum::serve(listener, app).await }).await });
        Self { address, calls, wire, _listening: stop.drop_guard() }
    }

    /// From now on nothing is answered, and watches end.
    pub fn go_away(&self) {
        self.wire.away.lock().unwrap().cancel();
    }

    /// Every watch ends in the midst of what it says.
    pub fn cut_watches(&self) {
        std::mem::take(&mut *self.wire.watches.lock().unwrap()).cancel();
    }

    /// Every watch ends, and for so long none goes on from where it was: each is told 410.
    pub fn expire_watches(&self, at_most: Duration) {
        *self.wire.expired.lock().unwrap() = Some(Instant::now() + at_most);
        self.cut_watches();
    }

    pub fn come_back(&self) {
        *self.wire.away.lock().unwrap() = CancellationToken::new();
    }
}

async fn forward(State(wire): State<Arc<Wire>>, request: Request) -> Response {
    let away = wire.away.lock().unwrap().clone();
    let (parts, body) = request.into_parts();
    let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let bytes = axum::body::to_bytes(body, MAX_BODY).await.unwrap_or_default();
    let mut call = Call { at: Instant::now(), method: parts.method.clone(), path, status: None };
    if away.is_cancelled() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let watches = wire.watches.lock().unwrap().clone();
    if call.watches() && wire.expired.lock().unwrap().is_some_and(|until| Instant::now() < until) {
        wire.calls.note(Call { status: Some(410), ..call });
        return expired();
    }
    let fortune = if call.writes() { (wire.rule.lock().unwrap())(&call) } else { Fortune::Done };
    match fortune {
        Fortune::Late(by) => tokio::time::sleep(by).await,
        Fortune::Refused(code) => {
            wire.calls.note(call);
            return refused(code);
        }
        Fortune::KilledBefore => {
            wire.calls.note(call);
            (wire.kill)();
            return refused(500);
        }
        Fortune::Done | Fortune::Unanswered | Fortune::KilledAfter => {}
    }
    let mut upstream = axum::http::Request::builder().method(parts.method).uri(call.path.clone());
    for (name, value) in parts.headers.iter().filter(|(name, _)| ["accept", "content-type"].contains(&name.as_str())) {
        upstream = upstream.header(name, value);
    }
    let answered = wire.client.send(upstream.body(bytes.to_vec().into()).unwrap()).await;
    let Ok(answered) = answered else {
        wire.calls.note(call);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    };
    let (mut head, body) = answered.into_parts();
    head.headers.remove("transfer-encoding");
    call.status = Some(head.status.as_u16());
    let body = Body::new(body);
    if !call.writes() {
        wire.calls.note(call);
        let ending = body.into_data_stream().take_until(away.cancelled_owned()).take_until(watches.cancelled_owned());
        return Response::from_parts(head, Body::from_stream(ending));
    }
    let bytes = axum::body::to_bytes(body, MAX_BODY).await.unwrap_or_default();
    wire.calls.note(call);
    match fortune {
        Fortune::KilledAfter => {
            (wire.kill)();
            refused(500)
        }
        Fortune::Unanswered => refused(504),
        _ => Response::from_parts(head, Body::from(bytes)),
    }
}

/// As the API server says that it forgot what was since then: as what the watch has heard, and ends with.
fn expired() -> Response {
    let status = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Expired", "code": 410, "message": "too old"});
    axum::Json(json!({"type": "ERROR", "object": status})).into_response()
}

fn refused(code: u16) -> Response {
    let reason = match code {
        409 => "Conflict",
        429 => "TooManyRequests",
        504 => "Timeout",
        _ => "InternalError",
    };
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": reason, "code": code, "message": "it was not to be"});
    (StatusCode::from_u16(code).unwrap(), axum::Json(status)).into_response()
}
