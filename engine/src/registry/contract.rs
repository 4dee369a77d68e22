//! What is asked of a registry: the part of Confluent's HTTP contract that readers need.

use std::collections::BTreeSet;

use url::Url;

use super::answers::{Reference, Refusal, Schema};
use super::http::{Http, Reply, Settings};
use super::{MAX_SCHEMA_BYTES, SchemaText};
use crate::error::{Error, ErrorKind, Result};

/// The most schemas that one refers to, those that they refer to included.
const MAX_REFERENCES: usize = 100;

/// A registry that can be asked.
#[derive(Debug)]
pub struct Contract {
    http: Http,
    identity: String,
}

/// A version of a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub version: i32,
    pub text: SchemaText,
}

impl Contract {
    /// Talks to nobody yet.
    ///
    /// # Errors
    /// `NotFound`, naming the file, when a secret is not mounted; `Invalid` when the address is none, or the authorities are no certificates.
    pub fn open(settings: Settings) -> Result<Self> {
        let identity = identity(&settings.url)?;
        Ok(Self { http: Http::open(settings)?, identity })
    }

    /// Host, port and path: where the registry is, however it is encrypted. A name that can be one of a folder.
    #[must_use]
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// The schema of an id; `None` when the registry says that there is none.
    ///
    /// # Errors
    /// `Unavailable` when the registry does not answer, or with something else than an answer; `Invalid` when the schema is too long.
    pub async fn schema(&self, id: u32) -> Result<Option<SchemaText>> {
        let doing = format!("ask registry {} for schema {id}", self.identity);
        let work = async {
            let Some(answer) = self.ask(&["schemas", "ids", &id.to_string()], None).await? else { return Ok(None) };
            self.text(id, answer).await.map(Some)
        };
        work.await.map_err(|e: Error| e.while_doing(doing))
    }

    /// A version of a subject; `None` = its newest one.
    ///
    /// # Errors
    /// `NotFound` when the registry says that there is none; `Unavailable` when it does not answer.
    pub async fn subject(&self, subject: &str, version: Option<i32>) -> Result<Subject> {
        let called = version.map_or_else(|| "latest".to_owned(), |v| v.to_string());
        let doing = format!("ask registry {} for subject {subject}, version {called}", self.identity);
        let work = async {
            let Some(answer) = self.ask(&["subjects", subject, "versions", &called], None).await? else {
                return Err(Error::not_found("there is none; register it, or name another one in source.stream.format.avro"));
            };
            let (Some(id), Some(version)) = (answer.id, answer.version) else { return Err(not_an_answer()) };
            Ok(Subject { version, text: self.text(id, answer).await? })
        };
        work.await.map_err(|e: Error| e.while_doing(doing))
    }

    /// The schema with all that it refers to.
    async fn text(&self, id: u32, answer: Schema) -> Result<SchemaText> {
        let language = answer.language();
        let mut bytes = answer.schema.len();
        let mut references = Vec::new();
        // Of each reference that is open: its text, and what it refers to that has not been looked at.
        let mut open = vec![(String::new(), answer.references.unwrap_or_default())];
        let mut seen = BTreeSet::new();
        while let Some((_, more)) = open.last_mut() {
            let Some(reference) = more.pop() else {
                references.extend(open.pop().map(|(text, _)| text).filter(|_| !open.is_empty()));
                continue;
            };
            if !seen.insert(reference.clone()) {
                continue;
            }
            let found = self.reference(&reference).await?;
            bytes += found.schema.len();
            if seen.len() > MAX_REFERENCES || bytes > MAX_SCHEMA_BYTES {
                return Err(too_long(id));
            }
            open.push((found.schema, found.references.unwrap_or_default()));
        }
        if bytes > MAX_SCHEMA_BYTES {
            return Err(too_long(id));
        }
        Ok(SchemaText { id, language, schema: answer.schema, references })
    }

    async fn reference(&self, reference: &Reference) -> Result<Schema> {
        let Reference { subject, version } = reference;
        // What is referred to counts for ever, also after it was deleted.
        let found = self.ask(&["subjects", subject, "versions", &version.to_string()], Some(("deleted", "true"))).await?;
        found.ok_or_else(|| {
            let why = format!("it refers to version {version} of subject {subject}, which is not there; register that again");
            Error::new(ErrorKind::Unavailable, why)
        })
    }

    async fn ask(&self, path: &[&str], query: Option<(&str, &str)>) -> Result<Option<Schema>> {
        let Reply { status, body } = self.http.get(path, query).await?;
        let unavailable = |why: String| Error::new(ErrorKind::Unavailable, why);
        match status {
            200 => serde_json::from_slice(&body).map(Some).map_err(|_| not_an_answer()),
            404 if serde_json::from_slice::<Refusal>(&body).is_ok_and(|r| r.is_nothing_there()) => Ok(None),
            404 => Err(unavailable("what answers there is no schema registry; look at the connection's registry.url".to_owned())),
            401 | 403 => {
                Err(unavailable("it refuses this name and password, or has none; look at the connection's registry.auth secret".to_owned()))
            }
            300..=399 => Err(unavailable("it sends us elsewhere; let the connection's registry.url be where it is".to_owned())),
            _ => Err(unavailable(format!("it answers with HTTP status {status}"))),
        }
    }
}

fn not_an_answer() -> Error {
    Error::new(ErrorKind::Unavailable, "what it answers is no answer of a schema registry; look at the connection's registry.url")
}

fn too_long(id: u32) -> Error {
    Error::invalid(format!("schema {id} has more than {MAX_REFERENCES} references, or is longer than 1 MiB with them"))
}

/// A registry is where it is: it says nothing else of itself.
fn identity(url: &Url) -> Result<String> {
    let (Some(host), Some(port), false) = (url.host_str(), url.port_or_known_default(), url.cannot_be_a_base()) else {
        return Err(Error::invalid("registry.url: it names no host; write https://host:port"));
    };
    let whole = format!("{host}:{port}{}", url.path().trim_end_matches('/'));
    let safe: String = host.chars().map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' }).collect();
    Ok(format!("{safe}-{port}-{:016x}", xxhash_rust::xxh3::xxh3_64(whole.as_bytes())))
}
