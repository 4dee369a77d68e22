//! The small feature, ready to be read: what most faults happen to.

use std::sync::Arc;

use tress_engine::log::Log;

use crate::definitions::{produce, signal_and_feature};
use crate::reading::Of;
use crate::site::Site;

/// A namespace with a topic of its name, in it one event of `a`, and the definitions, which are Ready. What `a` did is read.
pub async fn deployed(site: &Site, space: &str) -> (Arc<dyn Log>, Of) {
    site.namespace(space);
    let log = site.platform().log("main").unwrap();
    log.create(space, 1).await.unwrap();
    produce(&*log, space, ("a", 1), "home").await;
    site.apply(space, &signal_and_feature(space));
    site.wait(space, "sequencefeature/recent");
    site.wait(space, "signaldefinition/rating");
    let of = Of { client: site.reader(space).await, feature: format!("{space}/recent"), entity: "a".to_owned() };
    site.until("the event is read", async || of.rows().await == Ok(1)).await;
    (log, of)
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

/// Another signal and feature of the same events, beside the first.
pub fn beside(space: &str) -> String {
    signal_and_feature(space).replace("name: rating", "name: later").replace("name: recent", "name: later-recent")
}
