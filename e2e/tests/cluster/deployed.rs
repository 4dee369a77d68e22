//! The small feature, ready to be read: what most faults happen to.

use std::sync::Arc;

use tress_engine::log::{Log, NewRecord};

use crate::definitions::{produce, signal_and_feature};
use crate::reading::Of;
use crate::site::Site;

/// A namespace with a topic and the definitions, which are Ready. What `a` did, one event, is read.
pub struct Deployed {
    pub of: Of,
    pub topic: String,
    log: Arc<dyn Log>,
}

impl Deployed {
    pub async fn to(site: &Site, space: &str) -> Self {
        site.namespace(space);
        let topic = topic_of(site, space);
        let log = site.platform().log("main").unwrap();
        log.create(&topic, 1).await.unwrap();
        produce(&*log, &topic, ("a", 1), "home").await;
        site.apply(space, &signal_and_feature(&topic));
        site.wait(space, "sequencefeature/recent");
        site.wait(space, "signaldefinition/rating");
        let of = Of { client: site.reader(space).await, feature: format!("{space}/recent"), entity: "a".to_owned() };
        site.until("the event is read", async || of.rows().await == Ok(1)).await;
        Self { of, topic, log }
    }

    /// One more event of `a`.
    pub async fn produce(&self, item: usize) {
        produce(&*self.log, &self.topic, ("a", item), "home").await;
    }

    /// A record that is no event.
    pub async fn poison(&self) {
        let record = NewRecord { payload: "no JSON at all".into(), ..NewRecord::default() };
        self.log.append(&self.topic, 0, vec![record]).await.expect("produced");
    }

    /// Another signal and feature of the same events, beside the first.
    pub fn beside(&self) -> String {
        signal_and_feature(&self.topic).replace("name: rating", "name: later").replace("name: recent", "name: later-recent")
    }
}

/// A topic of this very namespace: topics outlive namespaces, and one of its name may have been there before.
pub fn topic_of(site: &Site, space: &str) -> String {
    let uid = site.kubectl(&["get", "namespace", space, "-o", "jsonpath={.metadata.uid}"]);
    format!("{space}-{}", uid.get(..8).expect("a UID"))
}

/// Another feature of the same signal.
pub const SHORTER: &str = r"apiVersion: tress.dev/v1alpha1
kind: SequenceFeature
metadata: {name: shorter}
spec:
  definition:
    signals: [{name: rating}]
    length: 5
";
