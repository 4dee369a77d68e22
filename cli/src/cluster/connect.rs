//! From a kubeconfig to a client.

use std::future::Future;
use std::time::Duration;

use anyhow::Context;
use k8s_openapi::NamespaceResourceScope;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Api, Client, Config, Resource};
use tokio::runtime::Runtime;

use super::trouble;
use crate::called::Called;
use crate::exit::usage;
use crate::place::Choice;
use crate::session::runtime;

/// How long a cluster may take to be reached.
const CONNECT: Duration = Duration::from_secs(10);
/// Who changes objects, as their `managedFields` say.
pub const MANAGER: &str = "tress-cli";

/// A cluster that may be asked. Cheap to clone.
#[derive(Clone)]
pub struct Cluster {
    pub client: Client,
    /// The one that was chosen, or the context's.
    pub namespace: String,
    pub commands: Commands,
}

/// How commands begin and end that are told to a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands {
    program: &'static str,
    /// The options that mean this cluster.
    cluster: String,
}

impl Commands {
    /// Of the program as it was called, for the cluster that was chosen.
    pub fn of(called: Called, Choice { context, kubeconfig, namespace: _ }: &Choice) -> Self {
        let context = context.as_ref().map(|context| format!(" --context {context}")).unwrap_or_default();
        let kubeconfig = kubeconfig.as_ref().map(|path| format!(" --kubeconfig {}", path.display())).unwrap_or_default();
        Self { program: called.program(), cluster: format!("{context}{kubeconfig}") }
    }

    /// A command of this program, as a person may type it: `tress retry recent -n movies`.
    pub fn tress(&self, words: &str, namespace: &str) -> String {
        format!("{} {words}{} -n {namespace}", self.program, self.cluster)
    }

    /// The same for kubectl.
    pub fn kubectl(&self, words: &str, namespace: &str) -> String {
        format!("kubectl {words}{} -n {namespace}", self.cluster)
    }
}

impl Cluster {
    /// # Errors
    /// When no kubeconfig says which cluster, or it cannot be used.
    async fn open(choice: &Choice, called: Called) -> anyhow::Result<Self> {
        let mut config = config(choice).await?;
        config.connect_timeout = Some(CONNECT);
        // A person waits: what does not answer is told at once.
        config.default_retry = false;
        let namespace = choice.namespace.clone().unwrap_or_else(|| config.default_namespace.clone());
        let client = Client::try_from(config).map_err(|e| trouble::told(e, "use the kubeconfig"))?;
        Ok(Self { client, namespace, commands: Commands::of(called, choice) })
    }

    /// Does something with the cluster.
    ///
    /// # Errors
    /// As the kubeconfig, and what is done.
    pub fn run<T, F: Future<Output = anyhow::Result<T>>>(
        choice: &Choice,
        called: Called,
        work: impl FnOnce(Self) -> F,
    ) -> anyhow::Result<T> {
        let runtime: Runtime = runtime()?;
        let done = runtime.block_on(async { work(Self::open(choice, called).await?).await });
        // Connections that nobody reads any more are not waited for.
        runtime.shutdown_background();
        done
    }

    /// Objects of a namespace.
    pub fn of<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope>,
        K::DynamicType: Default,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

impl std::fmt::Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

async fn config(choice: &Choice) -> anyhow::Result<Config> {
    let Choice { context, kubeconfig, namespace: _ } = choice;
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    let file = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path).with_context(|| format!("read kubeconfig {}", path.display()))?,
        // In a pod of the cluster there is none, and none is needed.
        None if context.is_none() => {
            return Config::infer()
                .await
                .map_err(|e| usage(format!("no cluster is known here ({e}): name one with --kubeconfig or --context")));
        }
        None => Kubeconfig::read().context("read the kubeconfig")?,
    };
    let known = file.contexts.iter().map(|c| c.name.clone()).collect::<Vec<_>>().join(", ");
    match context {
        Some(name) if !file.contexts.iter().any(|c| c.name == *name) => {
            Err(usage(format!("--context {name}: the kubeconfig has no such context; it has {known}")))
        }
        _ => Config::from_custom_kubeconfig(file, &options).await.context("use the kubeconfig"),
    }
}
