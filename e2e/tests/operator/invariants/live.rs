//! What readers read is there: no revision that a route names is removed, nor a signal revision that such a one reads.

use std::collections::BTreeSet;

use super::routes::{is_route, read};
use super::{Change, Invariant, Moment};
use crate::store::{items, text, uid};

pub struct Live;

impl Invariant for Live {
    fn look(&mut self, moment: &Moment, change: &Change<'_>) -> Vec<String> {
        let version = change.version;
        if !version.is_gone || !["SignalRevision", "SequenceRevision"].contains(&version.key.kind) {
            return Vec::new();
        }
        let routes = moment.all("ConfigMap").filter(|(key, _)| is_route(key)).filter_map(|(_, map)| read(map).ok());
        let routed: BTreeSet<String> = routes.flatten().filter_map(|(_, route)| route.live).map(|live| live.uid).collect();
        let gone = uid(&version.object);
        let reads = |revision: &serde_json::Value| items(revision, "/spec/signals").iter().any(|signal| text(signal, "/uid") == gone);
        let reader = moment.all("SequenceRevision").find(|(_, revision)| routed.contains(uid(revision)) && reads(revision));
        let is_there = |wanted: &str| moment.all("SignalRevision").any(|(_, revision)| uid(revision) == wanted);
        // Somebody deleted what it reads: it can be no more than made anew.
        let is_stranded = items(&version.object, "/spec/signals").iter().any(|signal| !is_there(text(signal, "/uid")));
        if routed.contains(gone) && is_stranded {
            Vec::new()
        } else if routed.contains(gone) {
            vec!["it is removed while readers are sent to it".to_owned()]
        } else {
            reader.map(|(key, _)| format!("it is removed while {key} reads it, which is live")).into_iter().collect()
        }
    }
}
