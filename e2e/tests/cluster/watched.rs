//! Every state of every object of a test's namespaces: what must hold at every moment is asked of all of them.

use std::collections::{BTreeMap, BTreeSet};

use tokio::task::JoinSet;

use crate::invariants::broken;
use crate::site::Site;
use crate::store::{Store, text, uid};

pub struct Watched {
    pub store: Store,
    _tasks: JoinSet<()>,
}

impl Watched {
    /// From now on, in namespaces whose names begin so.
    pub fn follow(site: &Site, prefix: &str) -> Self {
        let (store, tasks) = Store::follow(&site.client, prefix);
        Self { store, _tasks: tasks }
    }

    /// How many objects of a kind there ever were, by what `pointer` says of them.
    pub fn ever(&self, kind: &str, pointer: &str) -> BTreeMap<String, usize> {
        let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for version in self.store.history().iter().filter(|version| version.key.kind == kind) {
            all.entry(text(&version.object, pointer).to_owned()).or_default().insert(uid(&version.object).to_owned());
        }
        all.into_iter().map(|(of, uids)| (of, uids.len())).collect()
    }

    /// The names of attempts with their phases and classes.
    pub fn attempts(&self) -> Vec<String> {
        let told = |rollout: &serde_json::Value| {
            let part = |pointer| text(rollout, pointer).to_owned();
            format!("{} {} {}", part("/metadata/name"), part("/status/phase"), part("/spec/class"))
        };
        self.store.all("SequenceRollout").iter().map(|(_, rollout)| told(rollout).trim_end().to_owned()).collect()
    }

    /// Conditions by the rules of kstatus, one attempt at a time, routes, jobs: nothing of it was ever broken.
    pub fn assert_unbroken(&self) {
        let history = self.store.history();
        assert!(history.len() > 20, "there is something to look at: {}", history.len());
        assert_eq!(broken(&history), Vec::<String>::new());
    }
}
