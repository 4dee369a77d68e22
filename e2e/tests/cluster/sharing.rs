//! A signal that features of several namespaces read.

use serde_json::json;

use crate::declared::{feature, with};
use crate::definitions::{file, rate, signal};
use crate::site::{Site, unused};
use crate::watched::Watched;

const USER: &str = "a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn a_signal_runs_once_for_all_who_may_read_it_and_ends_with_the_last_of_them() {
    let (site, owner) = (Site::here().await, unused("sharing"));
    let [reader, stranger] = ["reader", "stranger"].map(|who| format!("{owner}-{who}"));
    let watched = Watched::follow(&site, &owner);
    for space in [&owner, &reader, &stranger] {
        site.namespace(space);
    }
    let platform = site.platform();
    let log = platform.log("main").unwrap();
    log.create(&owner, 1).await.unwrap();
    rate(&*log, &owner, ("", USER), [(1, 1), (2, 2)]).await;
    let shared = with(signal("rating", &owner), "/spec/definition/sharedWith", json!([reader]));
    let theirs = with(feature("theirs", &[]), "/spec/definition/signals", json!([{"name": "rating", "namespace": owner}]));
    site.apply(&reader, &file(&[theirs.clone()]));
    site.apply(&stranger, &file(&[theirs]));
    site.apply(&owner, &file(&[shared, feature("own", &["rating"])]));
    site.wait(&owner, "seq/own");
    site.wait(&reader, "seq/theirs");
    let refused = || site.condition(&stranger, "seq/theirs", "Ready");
    site.until("who may not is told so", async || refused()[..2] == ["False", "Invalid"]).await;
    let [.., message] = refused();
    assert!(["signals[0]", "not shared", &stranger, "sharedWith"].iter().all(|part| message.contains(part)), "{message}");
    assert_eq!(watched.store.all("SequenceRevision").iter().filter(|(key, _)| key.namespace == stranger).count(), 0);

    let items = async |space: &str, feature: &str| Site::items(&site.reader(space).await, &format!("{space}/{feature}"), USER).await;
    let reads = async |space: &str, feature: &str, expected: &[i64]| {
        site.until(&format!("{feature} is {expected:?}"), async || items(space, feature).await.is_ok_and(|items| items == expected)).await;
    };
    reads(&owner, "own", &[1, 2]).await;
    reads(&reader, "theirs", &[1, 2]).await;
    assert_eq!(watched.ever("SignalRevision", "/spec/signal"), [("rating".to_owned(), 1)].into());
    for role in ["stream", "archive"] {
        let run = async |space: &str| site.of_role(space, role).await.len();
        assert_eq!([run(&owner).await, run(&reader).await, run(&stranger).await], [1, 0, 0], "{role}");
    }
    let used = || site.get(&owner, "sig/rating")["status"]["usedBy"]["names"].clone();
    let readers = json!([format!("{reader}/theirs"), format!("{owner}/own")]);
    site.until("its owners see who reads it, and not who may not", async || used() == readers).await;

    // Sharing ends: what is read is read on, and the next change of it is refused.
    site.apply(&owner, &file(&[signal("rating", &owner)]));
    site.until("it is told to who reads it", async || site.condition(&reader, "seq/theirs", "Ready")[..2] == ["False", "Invalid"]).await;
    assert_eq!(site.condition(&reader, "seq/theirs", "Available")[0], "True");
    // One of two goes: the other gets what is new.
    site.kubectl(&["delete", "seq/own", "--namespace", &owner]);
    rate(&*log, &owner, ("", USER), [(3, 3)]).await;
    reads(&reader, "theirs", &[1, 2, 3]).await;
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!(site.of_role(&owner, "stream").await.len(), 1, "somebody reads it");

    site.kubectl(&["delete", "seq/theirs", "--namespace", &reader]);
    site.until("nothing streams any more", async || site.of_role(&owner, "stream").await.is_empty()).await;
    site.until("it says that nobody reads it", async || site.condition(&owner, "sig/rating", "Ready")[..2] == ["True", "Unused"]).await;
    assert_eq!(site.of_role(&owner, "archive").await.len(), 1, "what is declared is archived");
    site.kubectl(&["delete", "sig/rating", "--namespace", &owner]);
    site.until("nothing runs any more", async || site.of_role(&owner, "archive").await.is_empty()).await;
    watched.assert_unbroken();
    for space in [&owner, &reader, &stranger] {
        site.leave(space);
    }
}
