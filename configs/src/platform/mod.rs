//! The platform file: what the names of connections stand for, and where Tress keeps its own. ML teams name a connection, platform
//! teams own it. Secrets are named, never written.

mod check;
mod operated;
#[cfg(test)]
mod tests;
mod topics;

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::operated::{Engine, Limits, NamespaceLimits, OperatedPlatform, PoolSettings};
pub use self::topics::{CreateTopics, Topics};
use crate::issue::Issue;
use crate::source::{self, Located};
use crate::structure;

/// Connections, and what of Tress is kept where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PlatformFile {
    /// By the name that definitions use.
    pub connections: BTreeMap<String, Connection>,
    pub outputs: Outputs,
    /// The folder in which each secret that is named below is mounted, as a folder of its name.
    #[serde(default = "default_secrets")]
    #[schemars(length(min = 1, max = 1000))]
    pub secrets: String,
}

/// The folder of mounted secrets, unless the file says another.
pub const SECRETS: &str = "/var/run/secrets/tress";

fn default_secrets() -> String {
    SECRETS.to_owned()
}

/// Where Tress keeps its own, by names of connections.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Outputs {
    /// An object store: plans, archives, histories, bases.
    #[schemars(length(min = 1, max = 63))]
    pub lake: String,
    /// A Kafka: changelogs and dead letters.
    #[schemars(length(min = 1, max = 63))]
    pub changelog: String,
}

/// One connection: exactly one kind of it, and who may use it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Connection {
    /// Apache Kafka, or what speaks its protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kafka: Option<Kafka>,
    /// S3 or what speaks it, Google Cloud Storage, Azure; or a folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub object_store: Option<ObjectStore>,
    /// Namespaces whose definitions may name it; `*` means all. Omitted = none but Tress itself.
    #[serde(default)]
    #[schemars(length(max = 1000))]
    pub namespaces: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Kafka {
    /// Some brokers, as `host:port`.
    #[schemars(length(min = 1, max = 20))]
    pub bootstrap: Vec<String>,
    /// Who we are. Omitted = nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<KafkaAuth>,
    /// Encryption. Omitted = none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<KafkaTls>,
    #[serde(default)]
    pub topics: Topics,
    /// Where the schemas of its records are. Omitted = nowhere; Avro needs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub registry: Option<Registry>,
}

/// A schema registry that speaks the contract of Confluent's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Registry {
    /// `https://host:port`, and the path that its own paths follow.
    #[schemars(length(min = 1, max = 1000))]
    pub url: String,
    /// Who we are. Omitted = nobody.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub auth: Option<RegistryAuth>,
    /// Whom to believe that it is the registry. Omitted = the system's authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<RegistryTls>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryAuth {
    /// A secret with `username` and `password`.
    #[schemars(length(min = 1, max = 253))]
    pub secret: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RegistryTls {
    /// A secret with `ca.crt`.
    #[schemars(length(min = 1, max = 253))]
    pub ca_secret: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaAuth {
    /// A secret with `username` and `password`.
    #[schemars(length(min = 1, max = 253))]
    pub sasl_secret: String,
    #[serde(default)]
    pub mechanism: SaslMechanism,
}

/// How a name and a password are shown to the broker. Omitted = SCRAM-SHA-512.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
pub enum SaslMechanism {
    #[serde(rename = "PLAIN")]
    Plain,
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    #[default]
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
}

/// `{}` = encryption with the system's authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct KafkaTls {
    /// A secret with `ca.crt`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub ca_secret: Option<String>,
    /// A secret with `tls.crt` and `tls.key`: who we are, by certificate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub client_secret: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ObjectStore {
    /// `s3://bucket/prefix`, `gs://bucket/prefix`, `abfss://container@account.dfs.core.windows.net/prefix`, or `file:///folder`.
    #[schemars(length(min = 1, max = 1000))]
    pub url: String,
    /// The address of a server other than the cloud's own, as `https://host:port`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 1000))]
    pub endpoint: Option<String>,
    /// Of S3. Omitted = us-east-1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 63))]
    pub region: Option<String>,
    /// A secret: of S3 with `accessKeyId`, `secretAccessKey` and, of temporary keys, `sessionToken`; of Google with `serviceAccount.json`;
    /// of Azure with `accountKey`. Omitted = what the pod's environment has: its service account's role or identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253))]
    pub credentials_secret: Option<String>,
}

static SCHEMA: LazyLock<Value> = LazyLock::new(structure::schema::<PlatformFile>);

impl PlatformFile {
    /// Reads a platform file. `file` is how it is named in issues.
    ///
    /// # Errors
    /// Everything that is wrong with it, with line, column and remedy.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Issue>> {
        let located: Located<Self> = source::settings(file, text, &SCHEMA)?;
        let mut issues = check::issues(&located.item);
        for issue in &mut issues {
            located.place(issue);
        }
        if issues.is_empty() { Ok(located.item) } else { Err(issues) }
    }
}

impl Connection {
    /// Whether definitions of a namespace may name it.
    #[must_use]
    pub fn admits(&self, namespace: &str) -> bool {
        self.namespaces.iter().any(|n| n == "*" || n == namespace)
    }
}
