//! What the shape of a platform file cannot say.

use super::{Connection, Kafka, ObjectStore, PlatformFile, Registry, RegistryAuth, RegistryTls};
use crate::issue::{Issue, IssueCode};
use crate::nearest::suggest;
use crate::path;

/// The most connections of a platform.
const MAX_CONNECTIONS: usize = 200;

/// Less than this, and a reader that restarts finds no changelog any more.
const LEAST_RETENTION_MS: i64 = 3_600_000;

/// Which of the kinds of a connection is meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Wanted {
    Kafka,
    ObjectStore,
}

pub fn issues(file: &PlatformFile) -> Vec<Issue> {
    let PlatformFile { connections, outputs, secrets } = file;
    let mut issues = Vec::new();
    if connections.len() > MAX_CONNECTIONS {
        let message = format!("there are {} connections", connections.len());
        issues.push(Issue::error("connections", IssueCode::OutOfRange, message, format!("at most {MAX_CONNECTIONS} are allowed")));
    }
    if !secrets.starts_with('/') {
        issues.push(Issue::error("secrets", IssueCode::InvalidName, "it is no absolute path", "begin with a slash"));
    }
    for (name, connection) in connections {
        one(name, connection, &mut issues);
    }
    output(file, ("outputs.lake", &outputs.lake), Wanted::ObjectStore, &mut issues);
    output(file, ("outputs.changelog", &outputs.changelog), Wanted::Kafka, &mut issues);
    issues
}

fn one(name: &str, connection: &Connection, issues: &mut Vec<Issue>) {
    let at = path::member("connections", name);
    if !is_name(name, 63) {
        issues.push(Issue::error(&at, IssueCode::InvalidName, "this is no name of a connection", NAME_HELP));
    }
    let Connection { kafka, object_store, namespaces } = connection;
    match (kafka, object_store) {
        (Some(kafka), None) => of_kafka(&path::member(&at, "kafka"), kafka, issues),
        (None, Some(store)) => of_store(&path::member(&at, "objectStore"), store, issues),
        (None, None) => {
            issues.push(Issue::error(&at, IssueCode::OneOf, "it has no kind", "give it kafka: {…} or objectStore: {…}"));
        }
        (Some(_), Some(_)) => {
            issues.push(Issue::error(&at, IssueCode::OneOf, "it has two kinds", "make two connections of it"));
        }
    }
    for (index, namespace) in namespaces.iter().enumerate() {
        if namespace != "*" && !is_name(namespace, 63) {
            let at = path::item(&path::member(&at, "namespaces"), index);
            issues.push(Issue::error(at, IssueCode::InvalidName, "this is no name of a namespace", "write its name, or \"*\" for all"));
        }
    }
}

fn of_kafka(at: &str, kafka: &Kafka, issues: &mut Vec<Issue>) {
    let Kafka { bootstrap, auth, tls, topics, registry } = kafka;
    if let Some((message, help)) = topics.mistake() {
        issues.push(Issue::error(format!("{at}.topics.name"), IssueCode::InvalidName, message, help));
    }
    if topics.retention.millis() < LEAST_RETENTION_MS {
        let help = "keep changelogs for an hour at least, and for longer than any gap between backfills";
        issues.push(Issue::error(format!("{at}.topics.retention"), IssueCode::OutOfRange, "this is too short", help));
    }
    for (index, broker) in bootstrap.iter().enumerate() {
        let port = broker.rsplit_once(':').filter(|(host, _)| !host.is_empty()).and_then(|(_, port)| port.parse::<u16>().ok());
        if port.is_none_or(|p| p == 0) || broker.chars().any(|c| c.is_whitespace() || matches!(c, ',' | '/')) {
            let at = path::item(&path::member(at, "bootstrap"), index);
            issues.push(Issue::error(at, IssueCode::InvalidName, "this is no address of a broker", "write host:port, such as kafka:9092"));
        }
    }
    let auth = auth.as_ref().map(|a| ("auth.saslSecret", a.sasl_secret.as_str()));
    let ca = tls.as_ref().and_then(|t| t.ca_secret.as_deref()).map(|s| ("tls.caSecret", s));
    let client = tls.as_ref().and_then(|t| t.client_secret.as_deref()).map(|s| ("tls.clientSecret", s));
    for (field, secret) in [auth, ca, client].into_iter().flatten() {
        secret_name(&format!("{at}.{field}"), secret, issues);
    }
    if let Some(registry) = registry {
        of_registry(&path::member(at, "registry"), registry, issues);
    }
}

fn of_registry(at: &str, registry: &Registry, issues: &mut Vec<Issue>) {
    let Registry { url, auth, tls } = registry;
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    if host.is_none_or(str::is_empty) || url.chars().any(|c| c.is_whitespace() || matches!(c, '@' | '?' | '#')) {
        let help = "write https://host:port, and its path if it has one; a password goes into a secret that auth.secret names";
        issues.push(Issue::error(path::member(at, "url"), IssueCode::InvalidName, "this is no address of a schema registry", help));
    }
    if tls.is_some() && url.starts_with("http://") {
        let help = "begin the address with https, or remove tls";
        issues.push(Issue::error(path::member(at, "tls"), IssueCode::Conflict, "the address is one without encryption", help));
    }
    if let Some(RegistryAuth { secret }) = auth {
        secret_name(&format!("{at}.auth.secret"), secret, issues);
    }
    if let Some(RegistryTls { ca_secret }) = tls {
        secret_name(&format!("{at}.tls.caSecret"), ca_secret, issues);
    }
}

fn of_store(at: &str, store: &ObjectStore, issues: &mut Vec<Issue>) {
    let ObjectStore { url, endpoint, region, credentials_secret } = store;
    let field = |name: &str| path::member(at, name);
    let host = |scheme: &str| url.strip_prefix(scheme).map(|rest| rest.split('/').next().unwrap_or_default());
    let bucket = host("s3://").or_else(|| host("gs://")).filter(|b| !b.is_empty() && !b.contains('@'));
    let container = host("abfss://")
        .and_then(|h| h.split_once('@'))
        .filter(|(container, account)| !container.is_empty() && !container.contains(':') && !account.is_empty() && !account.contains('@'));
    let folder = url.strip_prefix("file://").filter(|path| path.starts_with('/'));
    if bucket.is_none() && container.is_none() && folder.is_none() {
        let help = "write s3://bucket/prefix, gs://bucket/prefix, abfss://container@account.dfs.core.windows.net/prefix, or file:///folder; \
                    keys go into a secret that credentialsSecret names";
        issues.push(Issue::error(field("url"), IssueCode::InvalidName, "this is no address of an object store", help));
    }
    if let Some(endpoint) = endpoint {
        let host = endpoint.strip_prefix("https://").or_else(|| endpoint.strip_prefix("http://")).map(|h| h.trim_end_matches('/'));
        // A stand-in for Azure tells accounts apart by the first part of the path.
        let path = if url.starts_with("abfss://") { 1 } else { 0 };
        if host.is_none_or(|h| h.is_empty() || h.starts_with('/') || h.contains(['@', '?']) || h.matches('/').count() > path) {
            let help = "write https://host:port, or http://host:port for one without encryption";
            issues.push(Issue::error(field("endpoint"), IssueCode::InvalidName, "this is no address of a server", help));
        }
    }
    if region.is_some() && !url.starts_with("s3://") && folder.is_none() {
        issues.push(Issue::error(field("region"), IssueCode::Conflict, "only S3 has one", "remove region"));
    }
    if folder.is_some() {
        for (name, given) in
            [("endpoint", endpoint.is_some()), ("region", region.is_some()), ("credentialsSecret", credentials_secret.is_some())]
        {
            if given {
                issues.push(Issue::error(field(name), IssueCode::Conflict, "a folder has none", format!("remove {name}")));
            }
        }
    }
    if let Some(secret) = credentials_secret {
        secret_name(&field("credentialsSecret"), secret, issues);
    }
}

/// A secret's name is a folder's name too: it must not lead elsewhere.
fn secret_name(at: &str, name: &str, issues: &mut Vec<Issue>) {
    if !is_name(name, 253) {
        let help = "name the secret: small letters, digits, dots and dashes; the secret itself is never written here";
        issues.push(Issue::error(at, IssueCode::InvalidName, "this is no name of a secret", help));
    }
}

fn output(file: &PlatformFile, (at, name): (&str, &str), wanted: Wanted, issues: &mut Vec<Issue>) {
    let of = |c: &Connection| if c.kafka.is_some() { Wanted::Kafka } else { Wanted::ObjectStore };
    match file.connections.get(name) {
        Some(connection) if of(connection) == wanted => {}
        Some(_) => {
            let (kind, other) = if wanted == Wanted::Kafka { ("a Kafka", "an object store") } else { ("an object store", "a Kafka") };
            let message = format!("this connection is {other}");
            issues.push(Issue::error(at, IssueCode::Conflict, message, format!("name a connection that is {kind}")));
        }
        None => {
            let fitting = file.connections.iter().filter(|(_, c)| of(c) == wanted).map(|(name, _)| name.as_str());
            let help = suggest(name, "connections of this kind", fitting);
            issues.push(Issue::error(at, IssueCode::UnknownReference, "there is no connection of this name", help));
        }
    }
}

const NAME_HELP: &str = "use small letters, digits, dots and dashes, at most 63";

fn is_name(name: &str, most: usize) -> bool {
    let inner = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    let edge = |b: Option<&u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    bytes.len() <= most && bytes.iter().all(|b| inner(*b)) && edge(bytes.first()) && edge(bytes.last()) && !name.contains("..")
}

/// Whether a name may be part of the names of objects: no dots.
pub fn is_label(name: &str, most: usize) -> bool {
    is_name(name, most) && !name.contains('.')
}
