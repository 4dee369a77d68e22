//! The platform file of a cluster: connections and outputs, and what the operator needs besides.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{Connection, Outputs, PlatformFile, check, default_secrets};
use crate::duration::Duration;
use crate::issue::{Issue, IssueCode};
use crate::source::{self, Located};
use crate::{path, quantity, structure};

/// What a platform team says of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OperatedPlatform {
    /// By the name that definitions use.
    pub connections: BTreeMap<String, Connection>,
    pub outputs: Outputs,
    /// The folder in which each secret that is named here is mounted, as a folder of its name.
    #[serde(default = "default_secrets")]
    #[schemars(length(min = 1, max = 1000))]
    pub secrets: String,
    /// Serving pools, by the name that features use; each namespace with features has its own pods of them. Omitted = `default` alone, as
    /// it is when nothing is said of it.
    #[serde(default = "default_pools")]
    pub pools: BTreeMap<String, PoolSettings>,
    #[serde(default)]
    pub limits: Limits,
    pub engine: Engine,
    /// How long definitions have to be left alone before a change of what is live begins. Omitted = 30s.
    #[serde(default = "default_quiet")]
    pub quiet: Duration,
}

/// The pods of one pool, in each namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PoolSettings {
    /// Omitted = 2.
    #[serde(default = "default_replicas")]
    #[schemars(range(min = 1, max = 100))]
    pub replicas: i32,
    /// Of each pod, for runs: `20Gi`.
    #[serde(default = "default_disk")]
    #[schemars(length(min = 1, max = 32))]
    pub disk: String,
    /// What bases and tails may take in each pod, which gets half as much more: `2Gi`.
    #[serde(default = "default_memory")]
    #[schemars(length(min = 1, max = 32))]
    pub memory: String,
}

/// How much there may be of something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Limits {
    #[serde(default)]
    pub per_namespace: NamespaceLimits,
    /// Attempts from Shadowing to Canary, in all namespaces together. Omitted = 50.
    #[serde(default = "default_slots")]
    #[schemars(range(min = 1, max = 10000))]
    pub rollout_slots: i32,
}

/// How much there may be of something in a namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NamespaceLimits {
    /// Omitted = 500.
    #[serde(default = "default_features")]
    #[schemars(range(min = 1, max = 100000))]
    pub features: i32,
    /// Of features and signals together. Omitted = 600.
    #[serde(default = "default_running")]
    #[schemars(range(min = 1, max = 100000))]
    pub running_revisions: i32,
    /// Pods of one backfill at a time. Omitted = 16.
    #[serde(default = "default_parallelism")]
    #[schemars(range(min = 1, max = 1000))]
    pub backfill_parallelism: i32,
    /// Attempts from Shadowing to Canary. Omitted = 10.
    #[serde(default = "default_namespace_slots")]
    #[schemars(range(min = 1, max = 10000))]
    pub rollout_slots: i32,
}

/// What runs plans.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Engine {
    #[schemars(length(min = 1, max = 500))]
    pub image: String,
    /// The least and the greatest semantics of plans that the image runs. Omitted = [1, 1].
    #[serde(default = "default_semantics")]
    pub semantics: [i32; 2],
    /// Of the account of its pods: how a cloud gives them an identity.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub service_account_annotations: BTreeMap<String, String>,
}

const DEFAULT_POOL: &str = "default";

fn default_pools() -> BTreeMap<String, PoolSettings> {
    BTreeMap::from([(DEFAULT_POOL.to_owned(), PoolSettings::default())])
}

const fn default_quiet() -> Duration {
    Duration::from_millis(30_000)
}

const fn default_replicas() -> i32 {
    2
}

fn default_disk() -> String {
    "20Gi".to_owned()
}

fn default_memory() -> String {
    "2Gi".to_owned()
}

const fn default_slots() -> i32 {
    50
}

const fn default_features() -> i32 {
    500
}

const fn default_running() -> i32 {
    600
}

const fn default_parallelism() -> i32 {
    16
}

const fn default_namespace_slots() -> i32 {
    10
}

const fn default_semantics() -> [i32; 2] {
    [1, 1]
}

impl Default for PoolSettings {
    fn default() -> Self {
        Self { replicas: default_replicas(), disk: default_disk(), memory: default_memory() }
    }
}

impl PoolSettings {
    /// What bases and tails may take, in bytes.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        quantity::whole(&self.memory).unwrap_or_default()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self { per_namespace: NamespaceLimits::default(), rollout_slots: default_slots() }
    }
}

impl Default for NamespaceLimits {
    fn default() -> Self {
        Self {
            features: default_features(),
            running_revisions: default_running(),
            backfill_parallelism: default_parallelism(),
            rollout_slots: default_namespace_slots(),
        }
    }
}

static SCHEMA: LazyLock<Value> = LazyLock::new(structure::schema::<OperatedPlatform>);

impl OperatedPlatform {
    /// Reads the platform file of a cluster. `file` is how it is named in issues.
    ///
    /// # Errors
    /// Everything that is wrong with it, with line, column and remedy.
    pub fn parse(file: &str, text: &str) -> Result<Self, Vec<Issue>> {
        let located: Located<Self> = source::settings(file, text, &SCHEMA)?;
        let mut issues = check::issues(&located.item.file());
        issues.extend(located.item.issues());
        for issue in &mut issues {
            located.place(issue);
        }
        if issues.is_empty() { Ok(located.item) } else { Err(issues) }
    }

    /// The JSON schema of platform files of clusters, for editors and for the values of the chart.
    #[must_use]
    pub fn schema() -> &'static Value {
        &SCHEMA
    }

    /// What the engine needs of it.
    #[must_use]
    pub fn file(&self) -> PlatformFile {
        PlatformFile { connections: self.connections.clone(), outputs: self.outputs.clone(), secrets: self.secrets.clone() }
    }

    fn issues(&self) -> Vec<Issue> {
        /// A pool's name is part of the names of its pods.
        const MAX_NAME: usize = 40;
        let Self { connections: _, outputs: _, secrets: _, pools, limits: _, engine, quiet } = self;
        let mut issues = Vec::new();
        let mut error = |at: String, code, message: &str, help: &str| issues.push(Issue::error(at, code, message, help));
        if !pools.contains_key(DEFAULT_POOL) {
            let help = "add default: {}; features that name no pool are served by it";
            error("pools".to_owned(), IssueCode::MissingField, "there is no pool that is called default", help);
        }
        for (name, PoolSettings { replicas: _, disk, memory }) in pools {
            let at = path::member("pools", name);
            if !check::is_label(name, MAX_NAME) {
                error(at.clone(), IssueCode::InvalidName, "this is no name of a pool", "use small letters, digits and dashes, at most 40");
            }
            for (field, text) in [("disk", disk), ("memory", memory)] {
                if quantity::whole(text).is_none_or(|bytes| bytes < LEAST_BYTES) {
                    let help = "write a quantity of at least 16Mi, such as 2Gi";
                    error(path::member(&at, field), IssueCode::OutOfRange, "this is no size that a pod can work with", help);
                }
            }
        }
        let [least, greatest] = engine.semantics;
        if least < 1 || greatest < least {
            let help = "write the least and the greatest that the image runs, such as [1, 1]";
            error("engine.semantics".to_owned(), IssueCode::OutOfRange, "this is no range of semantics", help);
        }
        if engine.image.chars().any(char::is_whitespace) {
            let help = "write registry/name:tag, or registry/name@sha256:…";
            error("engine.image".to_owned(), IssueCode::InvalidName, "this is no name of an image", help);
        }
        if quiet.millis() > MAX_QUIET_MS {
            error("quiet".to_owned(), IssueCode::OutOfRange, "this is too long", "wait for an hour at most");
        }
        issues
    }
}

/// Less than this, and no base fits.
const LEAST_BYTES: u64 = 16 << 20;
/// Definitions that are left alone for longer were forgotten.
const MAX_QUIET_MS: i64 = 3_600_000;
