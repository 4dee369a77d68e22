//! Backfills after the first: by hand and by schedule.

use serde_json::{Value, json};
use tress_configs::job::Role;

use super::edits::live;
use crate::definitions::{signal, with};
use crate::engine::lake::TASKS;
use crate::store::{number, text, uid};
use crate::world::World;

/// Name and UID of the revision of `rating`.
fn revision(world: &World) -> (String, String) {
    let name = text(&world.get("SignalDefinition", "rating").unwrap(), "/status/revision").to_owned();
    let uid = uid(&world.get("SignalRevision", &name).unwrap()).to_owned();
    (name, uid)
}

/// New raw events of a revision.
fn arrive(world: &World, uid: &str) {
    world.lake.lock().unwrap().data.get_mut(uid).unwrap().raw += 1;
}

/// How many raw events its history covers, and how often it was sealed.
fn folded(world: &World, uid: &str) -> (u64, u64) {
    let lake = world.lake.lock().unwrap();
    (lake.data[uid].sealed, lake.data[uid].backfill)
}

fn phase(world: &World, name: &str) -> String {
    world.get("Backfill", name).map_or_else(String::new, |backfill| text(&backfill, "/status/phase").to_owned())
}

/// The job of a backfill's tasks, and how many pods work on it.
fn work(world: &World) -> Option<(Value, usize)> {
    let jobs = world.store.all("Job").into_iter().map(|(_, job)| job);
    let job = jobs.filter(|job| text(job, "/spec/completionMode") == "Indexed").max_by_key(|job| number(job, "/metadata/generation"))?;
    let pods = world.store.all("Pod");
    let active = pods.iter().filter(|(_, pod)| text(pod, "/metadata/ownerReferences/0/uid") == uid(&job)).count();
    Some((Value::clone(&job), active))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backfill_by_hand_is_suspended_in_the_middle_widened_and_sealed_once() {
    let (world, _operator) = live("byhand").await;
    let ((revision, uid), at) = (revision(&world), world.at("movies"));
    for (_, job) in world.store.all("Job") {
        world.delete("Job", &at, text(&job, "/metadata/name")).await;
    }
    world.until("nothing is left of the first", |store| store.all("Job").is_empty()).await;
    arrive(&world, &uid);
    let before = folded(&world, &uid);
    world.lake.lock().unwrap().busy = true;
    let spec = json!({"revision": revision, "mode": {"incremental": {}}, "parallelism": 1, "suspend": true});
    world.apply("Backfill", &at, json!({"metadata": {"name": "again"}, "spec": spec})).await;
    world.until("it says why nothing is done", |_| world.condition("Backfill", "again", "Ready").1 == "Paused").await;
    world.rest(std::time::Duration::from_millis(700)).await;
    assert!(world.store.all("Job").is_empty(), "nothing is planned while it is suspended");

    let set = async |spec: Value| world.merge("Backfill", &at, "again", json!({"spec": spec})).await;
    set(json!({"suspend": false})).await;
    world.until("one pod works", |_| work(&world).is_some_and(|(_, active)| active == 1)).await;
    set(json!({"suspend": true})).await;
    world.until("nobody works", |_| work(&world).is_some_and(|(job, active)| job["spec"]["suspend"] == true && active == 0)).await;
    world.lake.lock().unwrap().busy = false;
    world.rest(std::time::Duration::from_millis(700)).await;
    assert_eq!((phase(&world, "again").as_str(), folded(&world, &uid)), ("Working", before));
    set(json!({"suspend": false, "parallelism": TASKS})).await;
    world.until("it is done", |_| phase(&world, "again") == "Succeeded").await;
    let (job, _) = work(&world).unwrap();
    assert_eq!(number(&job, "/spec/parallelism"), i64::try_from(TASKS).ok());
    assert_eq!(folded(&world, &uid), (before.0 + 1, before.1 + 1));

    // Nothing is new, and it is made anew all the same: asked for, it is.
    let spec = json!({"revision": revision, "mode": {"restate": {}}});
    world.apply("Backfill", &at, json!({"metadata": {"name": "anew"}, "spec": spec})).await;
    world.until("it is done", |_| phase(&world, "anew") == "Succeeded").await;
    assert_eq!(folded(&world, &uid), (before.0 + 1, before.1 + 2));
    let seals = world.lake.lock().unwrap().effects.iter().filter(|effect| effect.role == Role::BackfillSeal && effect.uid == uid).count();
    assert_eq!(seals as u64, before.1 + 2, "each is sealed once");
    world.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_schedule_folds_what_is_new_and_a_leader_who_was_away_catches_up_once() {
    let (world, operator) = live("schedule").await;
    let (_, uid) = revision(&world);
    let before = folded(&world, &uid);
    world.define_signal(with(signal("rating"), "/spec/runtime/backfill/schedule", json!("* * * * *"))).await;
    arrive(&world, &uid);
    world.until("it is folded", |_| folded(&world, &uid) == (before.0 + 1, before.1 + 1)).await;
    operator.kill();
    arrive(&world, &uid);
    tokio::time::sleep(std::time::Duration::from_secs(61)).await;
    let made = world.store.all("Backfill").len();
    world.release_lease().await;
    let _next = world.operator().await;
    world.until("it is caught up", |_| folded(&world, &uid) == (before.0 + 2, before.1 + 2)).await;
    assert!(world.store.all("Backfill").len() <= made + 2, "what was missed is one backfill, whatever the clock says by then");
    world.finish().await;
}
