//! Changes of what is live, of every class, while it is read all the time.

use std::collections::BTreeSet;
use std::slice::from_ref;

use kube::ResourceExt;
use serde_json::{Value, json};

use crate::declared::{feature, mistaken, narrower, wider, with};
use crate::definitions::{file, rate, signal};
use crate::site::{Site, unused};
use crate::watched::Watched;
use crate::witness::Witness;

/// What is edited, and what is seen of it.
struct Scene {
    site: Site,
    space: String,
    watched: Watched,
}

const USER: &str = "a";
const ALL: [i64; 5] = [1, 2, 3, 4, 5];
const NEWEST: [i64; 2] = [4, 5];

impl Scene {
    async fn apply(&self, objects: &[Value]) {
        self.site.apply(&self.space, &file(objects));
        // kubectl wait, too, must not take what is said of the generation before for an answer.
        for object in objects {
            let object = format!("{}/{}", short(object), object["metadata"]["name"].as_str().unwrap());
            let is_seen = || {
                let object = self.site.get(&self.space, &object);
                object["status"]["observedGeneration"] == object["metadata"]["generation"]
            };
            self.site.until(&format!("{object} is looked at"), async || is_seen()).await;
        }
    }

    /// Waits until a condition of an object is so, and gives its message.
    async fn says(&self, object: &str, what: &str, expected: [&str; 2]) -> String {
        let told = || self.site.condition(&self.space, object, what);
        self.site.until(&format!("{what} of {object} is {expected:?}"), async || told()[..2] == expected).await;
        let [.., message] = told();
        message
    }

    fn live(&self) -> String {
        self.site.get(&self.space, "seq/recent")["status"]["live"]["revision"].as_str().unwrap_or_default().to_owned()
    }

    /// Waits until something else than `before` is read and is what is declared.
    async fn follows(&self, before: &str) -> String {
        let is_updated = || self.site.condition(&self.space, "seq/recent", "Updated")[0] == "True";
        self.site.until("what is declared is read", async || is_updated() && self.live() != before).await;
        self.live()
    }

    fn force(&self, revision: &str) {
        self.site.kubectl(&["annotate", "seq/recent", "--overwrite", "--namespace", &self.space, &format!("tress.dev/force={revision}")]);
    }

    /// Waits until what is declared is held for want of a comparison, while `live` goes on, and gives the revision that could be forced.
    async fn holds(&self, live: &str) -> String {
        let target = || self.site.get(&self.space, "seq/recent")["status"]["target"]["revision"].as_str().unwrap().to_owned();
        self.site.until("another revision is to be read", async || target() != live).await;
        self.says("seq/recent", "Updated", ["False", "BehaviouralChangeHeld"]).await;
        assert_eq!((self.live().as_str(), self.site.condition(&self.space, "seq/recent", "Available")[0].as_str()), (live, "True"));
        target()
    }

    async fn pods(&self, role: &str) -> BTreeSet<String> {
        let all = self.site.of_role(&self.space, role).await;
        all.into_iter().filter(|pod| pod.metadata.deletion_timestamp.is_none()).map(|pod| pod.uid().unwrap_or_default()).collect()
    }

    async fn bystanders(&self) -> [BTreeSet<String>; 2] {
        [self.pods("serve").await, self.pods("archive").await]
    }

    fn made(&self) -> BTreeSet<String> {
        let kinds = ["SignalRevision", "SequenceRevision", "SequenceRollout", "Backfill"];
        kinds.iter().flat_map(|kind| self.watched.store.all(kind)).map(|(key, _)| key.to_string()).collect()
    }
}

fn short(object: &Value) -> &'static str {
    if object.pointer("/spec/definition/entity").is_some() { "sig" } else { "seq" }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn edits_of_every_class_do_what_they_are_to_do_and_who_reads_is_never_refused() {
    let (site, space) = (Site::here().await, unused("edits"));
    let watched = Watched::follow(&site, &space);
    site.namespace(&space);
    let platform = site.platform();
    let log = platform.log("main").unwrap();
    log.create(&space, 1).await.unwrap();
    rate(&*log, &space, ("", USER), (1..5).map(|item| (item, item))).await;
    let scene = Scene { site, space, watched };
    let Scene { site, space, .. } = &scene;
    let (rating, recent) = (signal("rating", space), feature("recent", &["rating"]));
    scene.apply(&[rating.clone(), recent.clone()]).await;
    site.wait(space, "seq/recent");
    site.until("both pods serve", async || site.get(space, "deployment/tress-default")["status"]["readyReplicas"] == 2).await;
    let witness = Witness::begin(site.readers(space).await, &format!("{space}/recent"), USER, &ALL[..4]);

    in_place(&scene, &rating, &recent, async || {
        witness.and(&ALL).await;
        rate(&*log, space, ("", USER), [(5, 5)]).await;
        let readers = site.readers(space).await;
        for reader in &readers {
            site.until("the new event is read", async || {
                Site::items(reader, &format!("{space}/recent"), USER).await.is_ok_and(|items| items == ALL)
            })
            .await;
        }
        witness.only(&ALL).await;
    })
    .await;
    compatible(&scene, &rating).await;
    behavioural(&scene, &recent, &witness).await;
    of_its_signal(&scene, &wider(rating.clone()), &recent, &witness).await;
    breaking(&scene, &wider(rating), &recent).await;

    witness.end().await;
    scene.watched.assert_unbroken();
    site.leave(space);
}

/// What does not decide what the data is: nothing is made, and only pods that it is about change.
async fn in_place(scene: &Scene, rating: &Value, recent: &Value, produce: impl AsyncFnOnce()) {
    let Scene { site, space, .. } = scene;
    let (made, bystanders, stream) = (scene.made(), scene.bystanders().await, scene.pods("stream").await);
    let name = site.get(space, "sig/rating")["status"]["revision"].as_str().unwrap().to_owned();
    let described = with(rating.clone(), "/spec/definition/description", json!("What a user rated."));
    let policy =
        with(with(recent.clone(), "/spec/definition/owners", json!(["a@example.com"])), "/spec/rollout", json!({"revisionHistory": 3}));
    scene.apply(&[with(described.clone(), "/spec/runtime/stream/replicas", json!(2)), policy]).await;
    let ready = || site.get(space, &format!("deployment/{name}"))["status"]["readyReplicas"].clone();
    site.until("two pods stream", async || ready() == 2).await;
    assert!(scene.pods("stream").await.is_superset(&stream), "the one that streams goes on");
    assert_eq!((scene.made(), scene.bystanders().await), (made.clone(), bystanders.clone()));

    scene.apply(&[with(described, "/spec/runtime/stream/resources/limits", json!({"memory": "600Mi"}))]).await;
    let memory =
        || site.get(space, &format!("deployment/{name}")).pointer("/spec/template/spec/containers/0/resources/limits/memory").cloned();
    site.until("its pods get more memory", async || memory() == Some(json!("600Mi"))).await;
    site.until("one pod streams", async || scene.pods("stream").await.len() == 1 && ready() == 1).await;
    assert!(scene.pods("stream").await.is_disjoint(&stream), "with the memory that it is to have");
    produce().await;
    assert_eq!((scene.made(), scene.bystanders().await), (made, bystanders));
    scene.site.wait(space, "seq/recent");
}

/// Readers see what they saw, and more.
async fn compatible(scene: &Scene, rating: &Value) {
    let Scene { site, space, watched } = scene;
    let (first, serving) = (scene.live(), scene.pods("serve").await);
    scene.apply(&[wider(rating.clone())]).await;
    // Under reportProgressUntil: Accepted it is Ready all the time.
    assert_eq!(site.condition(space, "seq/recent", "Ready")[0], "True");
    scene.follows(&first).await;
    site.until("its attempt succeeded", async || watched.attempts() == ["recent-1 Succeeded", "recent-2 Succeeded Compatible"]).await;
    assert_eq!(site.get(space, "sig/rating")["status"]["change"]["class"], "Compatible");
    let reader = site.reader(space).await;
    let entity = tress_engine::entity::Entity::String(USER.to_owned());
    let read = reader.get(&format!("{space}/recent"), &entity, &tress_engine::serve::Wanted::default()).await.unwrap().rows;
    assert!(read.column_by_name("surface").is_some(), "{:?}", read.schema());
    assert_eq!(scene.pods("serve").await, serving, "pods take up what is new in process");
}

/// Other data under the same schema: held, until a person or the lifecycle does without a comparison.
async fn behavioural(scene: &Scene, recent: &Value, witness: &Witness) {
    let Scene { site, space, watched } = scene;
    let second = scene.live();
    let shorter = with(recent.clone(), "/spec/definition/length", json!(2));
    scene.apply(&[shorter]).await;
    let message = scene.says("seq/recent", "Updated", ["False", "BehaviouralChangeHeld"]).await;
    let target = site.get(space, "seq/recent")["status"]["target"]["revision"].as_str().unwrap().to_owned();
    assert!(message.contains(&format!("tress.dev/force={target}")), "{message}");
    let held = || watched.attempts().last().is_some_and(|last| last == "recent-3 Inconclusive Behavioural");
    site.until("its attempt ended without a result", async || held()).await;
    for what in ["Available", "Ready"] {
        assert_eq!(site.condition(space, "seq/recent", what)[0], "True", "live goes on");
    }

    scene.force(&second);
    tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    assert_eq!((scene.live(), watched.attempts().len()), (second.clone(), 3), "another revision than the target is not forced");
    witness.and(&NEWEST).await;
    scene.force(&target);
    assert_eq!(scene.follows(&second).await, target);
    witness.only(&NEWEST).await;
    let forced = site.get(space, "seqroll/recent-4");
    assert_eq!((&forced["spec"]["forced"], &forced["spec"]["target"]["revision"]), (&json!(true), &json!(target)));
    let events =
        || site.kubectl(&["get", "events", "--namespace", space, "--field-selector", "involvedObject.name=recent-4", "-o", "json"]);
    site.until("an Event says that it was forced", async || events().contains("without a comparison")).await;
    site.wait(space, "seqroll/recent-4");
    let [.., message] = site.condition(space, "seqroll/recent-4", "Ready");
    assert!(message.contains("forced"), "{message}");

    // Without gates it goes by itself; what was read before is read again.
    witness.and(&ALL).await;
    scene.apply(&[with(recent.clone(), "/spec/definition/lifecycle", json!("Experimental"))]).await;
    assert_eq!(scene.follows(&target).await, second, "the same revision as before");
    witness.only(&ALL).await;
}

/// Other data in a signal reaches a feature by the feature's own attempt, and one that holds not at all.
async fn of_its_signal(scene: &Scene, rating: &Value, recent: &Value, witness: &Witness) {
    let Scene { site, space, .. } = scene;
    scene.apply(from_ref(recent)).await;
    let all = scene.live();
    scene.apply(&[with(rating.clone(), "/spec/definition/source/where", json!("item_id >= 4"))]).await;
    let newest = scene.holds(&all).await;
    assert_eq!(site.get(space, "sig/rating")["status"]["change"]["class"], "Behavioural");
    witness.and(&NEWEST).await;
    scene.force(&newest);
    assert_eq!(scene.follows(&all).await, newest);
    witness.only(&NEWEST).await;

    let holds = with(recent.clone(), "/spec/definition/signals", json!([{"name": "rating", "update": "Hold"}]));
    scene.apply(&[holds]).await;
    scene.apply(from_ref(rating)).await;
    site.wait(space, "sig/rating");
    tokio::time::sleep(std::time::Duration::from_secs(10)).await;
    assert_eq!((scene.live(), &site.condition(space, "seq/recent", "Updated")[0]), (newest.clone(), &"True".to_owned()));
    scene.apply(from_ref(recent)).await;
    assert_eq!(scene.holds(&newest).await, all, "the same revision as before");
    witness.and(&ALL).await;
    scene.force(&all);
    assert_eq!(scene.follows(&newest).await, all);
    witness.only(&ALL).await;
}

/// What readers would break on is refused with what to do instead, and nothing happens to what is read.
async fn breaking(scene: &Scene, rating: &Value, recent: &Value) {
    let Scene { site, space, watched } = scene;
    let (live, attempts) = (scene.live(), watched.attempts().len());
    let identity = with(rating.clone(), "/spec/definition/event/id", json!(["item_id", "surface"]));
    let bucket = with(rating.clone(), "/spec/definition/bucket", json!("Hour"));
    let narrow = narrower(rating.clone());
    for (broken, names) in [(&identity, "event.id"), (&bucket, "bucket"), (&narrow, "columns.rating")] {
        scene.apply(from_ref(broken)).await;
        let message = scene.says("sig/rating", "Ready", ["False", "Breaking"]).await;
        assert!(message.contains(names) && message.contains("raise definition.schemaVersion to 2"), "{message}");
        assert_eq!(site.condition(space, "sig/rating", "Stalled")[..2], ["True", "Breaking"]);
        // The next one is another generation, and its answer another.
        scene.apply(from_ref(rating)).await;
        site.wait(space, "sig/rating");
    }
    scene.apply(&[mistaken(rating.clone())]).await;
    let message = scene.says("sig/rating", "Ready", ["False", "Invalid"]).await;
    assert!(message.contains("ratng"), "{message}");

    // Both versions side by side; a feature of the other version is another feature.
    scene.apply(&[with(narrow, "/spec/definition/schemaVersion", json!(2))]).await;
    site.wait(space, "sig/rating");
    let reads = json!([{"name": "rating", "schemaVersion": 2}]);
    let moved = with(recent.clone(), "/spec/definition/signals", reads.clone());
    scene.apply(&[moved]).await;
    let message = scene.says("seq/recent", "Ready", ["False", "Breaking"]).await;
    assert!(message.contains("rating") && message.contains("new name"), "{message}");
    assert_eq!(site.condition(space, "seq/recent", "Available")[0], "True");
    scene.apply(&[recent.clone(), with(feature("newer", &[]), "/spec/definition/signals", reads)]).await;
    for name in ["seq/newer", "seq/recent"] {
        site.wait(space, name);
    }
    let reader = site.reader(space).await;
    site.until("the new version is read", async || {
        Site::items(&reader, &format!("{space}/newer"), USER).await.is_ok_and(|items| items == ALL)
    })
    .await;
    assert_eq!((scene.live(), watched.attempts().iter().filter(|a| a.starts_with("recent-")).count()), (live, attempts));
}
