//! What goes when definitions or their namespace go, and what stays.

use std::time::{Duration, Instant};

use kube::api::{Api, ListParams};
use serde_json::{Value, json};
use tress_crds::{SequenceRevision, SignalRevision};
use tress_engine::error::ErrorKind;
use tress_engine::platform::Platform;
use tress_engine::{layout, prepare};

use crate::declared::{feature, with};
use crate::definitions::{file, rate, signal};
use crate::site::{Site, files, unused};

const USER: &str = "a";
/// The signals' names, each with its feature's.
const STAYS: [&str; 2] = ["stays", "reads-stays"];
const GOES: [&str; 2] = ["goes", "reads-goes"];

/// What is outside of a signal revision: files in its part of the lake, and whether it has a changelog.
#[derive(Debug, Clone)]
struct Outside {
    uid: String,
    changelog: String,
}

impl Outside {
    async fn of(site: &Site, platform: &Platform, (space, name): (&str, &str)) -> Self {
        let revision = site.get(space, &format!("sig/{name}"))["status"]["revision"].as_str().unwrap().to_owned();
        let uid = site.get(space, &format!("sigrev/{revision}"))["metadata"]["uid"].as_str().unwrap().to_owned();
        let recorded = prepare::read(platform, &uid).await.unwrap().expect("it is recorded in the lake");
        let seen = Self { changelog: recorded.topics().changelog, uid };
        assert!(matches!(seen.seen(platform).await, (files, true) if files > 0), "{seen:?}");
        seen
    }

    /// How many files there are, and whether there is a changelog.
    async fn seen(&self, platform: &Platform) -> (usize, bool) {
        let files = files(platform, &layout::signal(&self.uid)).await.len();
        let has_changelog = match platform.own_log().id(&self.changelog).await {
            Ok(_) => true,
            Err(e) if e.kind() == ErrorKind::NotFound => false,
            Err(e) => panic!("{e}"),
        };
        (files, has_changelog)
    }
}

/// Two signals of one topic, of which one is to go with its data, and who reads them.
fn definitions(topic: &str) -> [Value; 4] {
    let goes = with(signal(GOES[0], topic), "/spec/deletionPolicy", json!("Delete"));
    [signal(STAYS[0], topic), goes, feature(STAYS[1], &[STAYS[0]]), feature(GOES[1], &[GOES[0]])]
}

async fn served(site: &Site, platform: &Platform, space: &str) -> [Outside; 2] {
    site.apply(space, &file(&definitions(space)));
    let names = [STAYS[1], GOES[1]];
    for name in names {
        site.wait(space, &format!("seq/{name}"));
    }
    let reader = site.reader(space).await;
    for name in names {
        site.until(&format!("{name} is read"), async || {
            Site::items(&reader, &format!("{space}/{name}"), USER).await.is_ok_and(|items| items == [1, 2, 3])
        })
        .await;
    }
    [Outside::of(site, platform, (space, STAYS[0])).await, Outside::of(site, platform, (space, GOES[0])).await]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn data_stays_or_goes_with_its_definition_and_a_namespace_goes_also_without_an_operator() {
    let (site, space) = (Site::here().await, unused("deletion"));
    site.namespace(&space);
    let platform = site.platform();
    let log = platform.log("main").unwrap();
    log.create(&space, 1).await.unwrap();
    rate(&*log, &space, ("", USER), [(1, 1), (2, 2), (3, 3)]).await;

    // A definition that is read goes: its readers notice nothing, and neither does its data.
    let [stays, goes] = served(&site, &platform, &space).await;
    let signals = ["delete", "sig", STAYS[0], GOES[0], "--namespace", &space];
    site.kubectl(&signals);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let reader = site.reader(&space).await;
    assert_eq!(Site::items(&reader, &format!("{space}/{}", GOES[1]), USER).await.unwrap(), [1, 2, 3]);
    assert!(matches!(goes.seen(&platform).await, (files, true) if files > 0));
    site.kubectl(&["delete", "seq", STAYS[1], GOES[1], "--namespace", &space]);
    let revisions: Api<SignalRevision> = Api::namespaced(site.client.clone(), &space);
    let sequences: Api<SequenceRevision> = Api::namespaced(site.client.clone(), &space);
    site.until("revisions have gone", async || {
        let none = ListParams::default();
        revisions.list(&none).await.unwrap().items.is_empty() && sequences.list(&none).await.unwrap().items.is_empty()
    })
    .await;
    site.until("what was to go has gone", async || goes.seen(&platform).await == (0, false)).await;
    assert!(matches!(stays.seen(&platform).await, (files, true) if files > 0), "what is to stay stays");
    site.until("nothing runs any more", async || site.pods(&space).list(&ListParams::default()).await.unwrap().items.iter().all(ended))
        .await;

    // The same once more, with new revisions; and the namespace goes while no operator is there to see it.
    let [kept, dropped] = served(&site, &platform, &space).await;
    assert_ne!(kept.uid, stays.uid, "a definition that comes again never meets its predecessor's data");
    let scale = |replicas: &str| site.kubectl(&["scale", "deployment/tress-operator", replicas, "--namespace", &site.space]);
    let replicas = site.get(&site.space, "deployment/tress-operator")["spec"]["replicas"].clone();
    scale("--replicas=0");
    let none = async || site.pods(&site.space).list(&operators()).await.unwrap().items.is_empty();
    site.until("no operator is there", none).await;
    let began = Instant::now();
    site.kubectl(&["delete", "namespace", &space, "--wait=true", "--timeout=150s"]);
    println!("the namespace went in {:?}", began.elapsed());
    assert!(matches!(dropped.seen(&platform).await, (files, true) if files > 0), "nobody was there to drop it");
    scale(&format!("--replicas={replicas}"));
    site.until("what was to go with its definition has gone", async || dropped.seen(&platform).await == (0, false)).await;
    assert!(matches!(kept.seen(&platform).await, (files, true) if files > 0), "what is to stay stays");
    site.until("nothing is left to do", async || {
        let maps =
            site.kubectl(&["get", "configmaps", "--selector", "tress.dev/role=drop", "--namespace", &site.space, "--output", "json"]);
        !maps.contains(&dropped.uid) && !maps.contains(&goes.uid)
    })
    .await;
}

fn operators() -> ListParams {
    ListParams::default().labels("app.kubernetes.io/name=tress-operator")
}

/// A pod that is still listed and does nothing more.
fn ended(pod: &k8s_openapi::api::core::v1::Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}
