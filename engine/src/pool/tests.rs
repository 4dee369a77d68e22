use super::fixture::*;
use tress_configs::definition::{Contract, Freshness};
use tress_configs::duration::Duration;
use tress_configs::route::Words;

use crate::base::Manifest;
use crate::error::ErrorKind;
use crate::layout;
use crate::log::Position;
use crate::serve::proto::revision_description::{Role, State};
use crate::serve::{Degradation, Pinned, Route};
use crate::store::{self, Taken};

const RATED: &str = "movies/rated";
const SEEN: &str = "movies/seen";
const BOTH: &str = "movies/both";

fn newest(count: i64, of: i64) -> Vec<i64> {
    (of - count..of).rev().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn revisions_are_loaded_cut_over_by_file_and_by_push_and_unloaded() {
    let world = World::new().await;
    world.happen(RATING, "u", 0..20).await;
    world.happen(WATCH, "u", 100..110).await;
    world.fold(WATCH, &[World::feature("seen", 4)]).await;
    let (three, five, seen) = (world.revision("rated", 3).await, world.revision("rated", 5).await, world.revision("seen", 4).await);
    let pool = world.pool("one").await;
    let early = pool.control.status().await.expect("a status");
    assert!(!early.ready && early.not_ready.contains("no routes"), "{early:?}");
    world.route(&[(RATED, route(&three, 1)), (SEEN, route(&seen, 1))]).await;
    pool.ready().await;
    assert_eq!(pool.items(RATED, "u").await, (newest(3, 20), three.digest.clone()));
    assert_eq!(pool.items(SEEN, "u").await, (newest(4, 110), seen.digest.clone()));
    assert_eq!(folders(&pool.state, "base"), [WATCH]);

    // A trial beside the live one: the signal is followed once for both.
    let tried = Route { trial: Some(five.clone()), ..route(&three, 2) };
    world.route(&[(RATED, tried), (SEEN, route(&seen, 1))]).await;
    let trial = pool.is(RATED, &five, State::Ready).await;
    assert_eq!((trial.signals.as_slice(), trial.warm), ([RATING.to_owned()].as_slice(), true));
    assert_eq!(pool.signal(RATING).await.map(|s| s.users), Some(2));
    assert_eq!(pool.items(RATED, "u").await.1, three.digest, "a trial of no weight is not read");

    // Cut over by a push: the next read is the new revision's. An older file undoes nothing.
    let cut = Route { loaded: vec![three.clone()], ..route(&five, 4) };
    let applied = pool.control.set_route(&file(&[(RATED, cut)])).await.expect("applied");
    assert_eq!((applied.changed.as_slice(), applied.refused.len()), ([RATED.to_owned()].as_slice(), 0));
    assert_eq!(pool.items(RATED, "u").await, (newest(5, 20), five.digest.clone()));
    world.route(&[(RATED, route(&three, 3))]).await;
    until("the file without the other feature is seen", async || pool.of(SEEN, &seen).await.is_none().then_some(())).await;
    assert_eq!(pool.items(RATED, "u").await.1, five.digest);
    let status = pool.control.status().await.expect("a status");
    assert_eq!(status.features.iter().map(|f| (f.epoch, f.file_epoch)).collect::<Vec<_>>(), [(4, 3)]);
    let refused = pool.control.set_route(&file(&[(RATED, route(&three, 3))])).await.expect("a value").refused;
    assert_eq!(refused.iter().map(|r| (r.epoch, r.seen)).collect::<Vec<_>>(), [(3, 4)]);

    // Back by file; what is not named any more goes, with what only it read, and its files.
    world.route(&[(RATED, route(&three, 5))]).await;
    until("the old revision answers again", async || (pool.items(RATED, "u").await.1 == three.digest).then_some(())).await;
    until("the other is unloaded", async || pool.of(RATED, &five).await.is_none().then_some(())).await;
    until("nobody reads its signal", async || pool.signal(RATING).await.filter(|s| s.users == 1)).await;
    until("the signal of the feature that is gone is let go", async || pool.signal(WATCH).await.is_none().then_some(())).await;
    assert_eq!(pool.read(SEEN, "u").await.unwrap_err().kind(), ErrorKind::NotFound);
    until("its files are gone", async || folders(&pool.state, "base").is_empty().then_some(())).await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_was_made_anew_is_loaded_beside_its_twin_and_takes_its_place_without_a_gap() {
    let world = World::new().await;
    world.happen(RATING, "u", 0..20).await;
    let (first, again) = (world.revision("rated", 3).await, world.revision("rated", 3).await);
    assert!(first.digest == again.digest && first.uid != again.uid);
    world.route(&[(RATED, route(&first, 1))]).await;
    let pool = world.pool("one").await;
    pool.ready().await;
    let answers = async || assert_eq!(pool.items(RATED, "u").await.0, newest(3, 20), "readers notice nothing");
    answers().await;
    world.route(&[(RATED, Route { trial: Some(again.clone()), ..route(&first, 2) })]).await;
    let trial = pool.is(RATED, &again, State::Ready).await;
    assert!(trial.warm && trial.signals == [RATING], "{trial:?}");
    assert_eq!(pool.is(RATED, &first, State::Ready).await.role, i32::from(Role::Live));
    answers().await;
    world.route(&[(RATED, route(&again, 3))]).await;
    until("its twin is unloaded", async || {
        answers().await;
        pool.of(RATED, &first).await.is_none().then_some(())
    })
    .await;
    assert_eq!(pool.is(RATED, &again, State::Ready).await.role, i32::from(Role::Live));
    assert_eq!(pool.signal(RATING).await.map(|s| s.users), Some(1));

    // One that is routed at once, and cannot be loaded: readers keep what they have.
    let missing = Pinned { uid: "rated-99".to_owned(), ..again.clone() };
    world.route(&[(RATED, route(&missing, 4))]).await;
    pool.is(RATED, &missing, State::Failed).await;
    tokio::time::sleep(std::time::Duration::from_millis(400)).await;
    answers().await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_happens_is_followed_and_a_new_base_is_shown_and_counted() {
    let world = World::new().await;
    world.happen(RATING, "u", 0..10).await;
    let both = world.revision("both", 8).await;
    world.route(&[(BOTH, route(&both, 1))]).await;
    let pool = world.pool("one").await;
    pool.ready().await;
    assert_eq!(pool.items(BOTH, "u").await.0, newest(8, 10));
    world.happen(WATCH, "u", 10..12).await;
    until("the other signal's events are read", async || (pool.items(BOTH, "u").await.0 == newest(8, 12)).then_some(())).await;
    let bytes = world.fold(RATING, &[World::feature("both", 8)]).await;
    let shown = until("the base is shown", async || pool.signal(RATING).await.filter(|s| s.base.is_some())).await;
    let base = shown.base.expect("a base");
    assert_eq!((base.manifest, base.demands_epoch, base.bytes, shown.tail_rows, shown.users), (1, 1, bytes, 0, 1));
    assert!(shown.troubles.is_empty(), "{:?}", shown.troubles);
    until("how far its source is applied is told", async || pool.signal(RATING).await.and_then(|s| s.applied_through)).await;
    assert_eq!(pool.items(BOTH, "u").await.0, newest(8, 12));
    let status = pool.control.status().await.expect("a status");
    assert_eq!((status.budget_bytes, status.used_bytes), (MEMORY, bytes));
    let told = pool.of(BOTH, &both).await.expect("loaded");
    let counters = told.counters.expect("counters");
    assert!(told.warm && counters.requests >= 3 && counters.errors == 0, "{counters:?}");
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revision_that_cannot_be_loaded_says_why_and_harms_no_other() {
    let world = World::new().await;
    world.happen(RATING, "u", 0..5).await;
    world.happen(WATCH, "u", 0..5).await;
    let healthy = world.revision("rated", 3).await;
    let (good, gap) = (world.revision("rated", 4).await, world.revision("seen", 3).await);
    // Retention has dropped what nobody has kept.
    let log = world.platform.own_log();
    let changelog = layout::changelog(WATCH);
    let ends = log.ends(&changelog).await.expect("a changelog");
    let all: Vec<Position> = (0..).zip(&ends).map(|(partition, end)| Position { partition, offset: end.end }).collect();
    log.trim(&changelog, &all).await.expect("trimmed");
    let pinned = |uid: &str, digest: &str| Pinned { uid: uid.into(), digest: digest.into() };
    let unprepared = pinned("rated-99", "0123");
    let lake = world.folder.path().join("lake");
    std::fs::write(lake.join(layout::revision("torn").as_ref()), b"{\"format\": 1").expect("written");
    let routes = [
        (RATED, route(&healthy, 1), &healthy, ""),
        ("movies/digest", route(&pinned(&good.uid, "other"), 1), &pinned(&good.uid, "other"), "the route names other"),
        ("movies/unprepared", route(&unprepared, 1), &unprepared, "is not prepared"),
        ("movies/another", route(&good, 1), &good, "is of feature movies/rated"),
        ("movies/torn", route(&pinned("torn", "d"), 1), &pinned("torn", "d"), "restore it"),
        (SEEN, route(&gap, 1), &gap, "no longer reaches back"),
    ];
    world.route(&routes.iter().map(|(name, route, ..)| (*name, route.clone())).collect::<Vec<_>>()).await;
    let pool = world.pool("one").await;
    pool.ready().await;
    for (name, _, pinned, says) in &routes[1..] {
        let told = pool.is(name, pinned, State::Failed).await;
        assert!(told.reason.contains(says), "{name}: {} does not say {says}", told.reason);
        let error = pool.read(name, "u").await.unwrap_err();
        assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains(says), "{error}");
    }
    assert_eq!(pool.items(RATED, "u").await.0, newest(3, 5));
    let errors = pool.of(SEEN, &gap).await.and_then(|told| told.counters).map(|counters| counters.errors);
    assert_eq!(errors, Some(1), "what is not loaded counts as an error of its own");
    until("what failed to load is not followed", async || pool.signal(WATCH).await.is_none().then_some(())).await;

    // Mended: it is tried again by itself.
    let torn = world.revision("rated", 7).await;
    let record = std::fs::read(lake.join(layout::revision(&torn.uid).as_ref())).expect("a record");
    std::fs::write(lake.join(layout::revision("torn").as_ref()), record).expect("written");
    let mended = pinned("torn", &torn.digest);
    world.route(&[(RATED, route(&mended, 2))]).await;
    pool.is(RATED, &mended, State::Ready).await;
    assert_eq!(pool.items(RATED, "u").await.0, newest(5, 5));
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_process_goes_on_from_the_snapshot_though_the_changelog_is_gone() {
    let world = World::new().await;
    world.happen(RATING, "u", 0..30).await;
    let rated = world.revision("rated", 20).await;
    world.route(&[(RATED, route(&rated, 1))]).await;
    let first = world.pool("first").await;
    first.ready().await;
    let before = first.items(RATED, "u").await;
    let log = world.platform.own_log();
    let (signal, _) = first.shared.signals.all().remove(0);
    let Taken::Kept { positions, .. } = store::take(&signal.followed.store).await.expect("kept") else { panic!("nobody else takes one") };
    drop(signal);
    let changelog = layout::changelog(RATING);
    let ends = log.ends(&changelog).await.expect("a changelog");
    assert!(ends.iter().all(|end| end.start == 0), "a process of several drops nothing of the changelog");
    log.trim(&changelog, &positions).await.expect("trimmed by retention");

    let second = world.pool("second").await;
    second.ready().await;
    assert_eq!(second.items(RATED, "u").await, before);
    world.happen(RATING, "u", 30..33).await;
    for pool in [&first, &second] {
        until("both follow", async || (pool.items(RATED, "u").await.0 == newest(20, 33)).then_some(())).await;
    }
    first.stop().await;
    // The same state folder again, and nobody else at the same time.
    let first = world.pool("first").await;
    first.ready().await;
    assert_eq!(first.items(RATED, "u").await.0, newest(20, 33));
    let settings = super::Settings {
        state: world.folder.path().join("first"),
        routes: world.routes(),
        memory: MEMORY,
        serve: crate::serve::Settings::default(),
        control: None,
        pace: super::Pace::default(),
    };
    let error = super::Pool::bind(world.platform.clone(), settings).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Conflict && error.to_string().contains("another process"), "{error}");
    first.stop().await;
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_base_beyond_the_budget_is_refused_and_what_was_shown_stays() {
    let world = World::new().await;
    world.happen(RATING, "u", 0..30).await;
    let feature = World::feature("rated", 20);
    let bytes = world.fold(RATING, std::slice::from_ref(&feature)).await;
    let (rated, seen) = (world.revision("rated", 20).await, world.revision("seen", 5).await);
    world.route(&[(RATED, route(&rated, 1)), (SEEN, route(&seen, 1))]).await;
    let pool = world.pool_with("one", |settings| settings.memory = bytes).await;
    pool.ready().await;
    assert_eq!(pool.signal(RATING).await.and_then(|s| s.base).map(|b| b.manifest), Some(1));
    // Another generation: more than there is room for.
    world.happen(RATING, "u", 30..40).await;
    world.fold(RATING, std::slice::from_ref(&feature)).await;
    let told = until("it is told", async || pool.signal(RATING).await.filter(|s| !s.troubles.is_empty())).await;
    assert!(told.troubles[0].contains("load base 2") && told.troubles[0].contains("more memory"), "{:?}", told.troubles);
    assert_eq!(told.base.map(|base| base.manifest), Some(1));
    assert_eq!(pool.items(RATED, "u").await.0, newest(20, 40), "the tail has what the base shown lacks");
    let status = pool.control.status().await.expect("a status");
    assert_eq!((status.used_bytes, status.ready), (bytes, true));

    // A signal whose base never had room: its features fail, the others go on.
    world.happen(WATCH, "u", 0..30).await;
    world.fold(WATCH, &[World::feature("seen", 5)]).await;
    let again = world.pool_with("two", |settings| settings.memory = 10).await;
    again.ready().await;
    let failed = again.is(SEEN, &seen, State::Failed).await;
    assert!(failed.reason.contains("more memory"), "{}", failed.reason);
    again.stop().await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pool_says_stale_by_the_contract_that_its_route_carries() {
    let world = World::new().await;
    world.happen(RATING, "u", 0..5).await;
    let rated = world.revision("rated", 3).await;
    world.route(&[(RATED, route(&rated, 1))]).await;
    let pool = world.pool("one").await;
    pool.ready().await;
    until("how far its source is applied is told", async || pool.signal(RATING).await.and_then(|s| s.applied_through)).await;
    let degraded = async || pool.read(RATED, "u").await.expect("a reply").profile.degraded;
    assert_eq!(degraded().await, [], "nobody said what it promises");
    let day = Duration::from_millis(86_400_000);
    let promising = |p99| Contract { freshness: Some(Freshness { p99 }), complete_within: Some(day) };
    let carrying = |contract, epoch| Route { contract: Some(contract), ..route(&rated, epoch) };

    // By a push, under the same epoch: nothing is read otherwise.
    let applied = pool.control.set_route(&file(&[(RATED, carrying(promising(Duration::from_millis(0)), 1))])).await.expect("applied");
    assert_eq!((applied.changed.len(), applied.refused.len()), (1, 0));
    assert_eq!(degraded().await, [Degradation::Stale]);
    let contract = pool.client().await.describe(RATED, None).await.expect("a description").contract.expect("a contract");
    assert_eq!((contract.freshness_p99_ms, contract.complete_within_ms), (Some(0), Some(86_400_000)));

    // By the file.
    world.route(&[(RATED, carrying(promising(day), 2))]).await;
    until("a day is long enough", async || degraded().await.is_empty().then_some(())).await;
    let never = Contract { freshness: None, complete_within: None };
    let words = Words { description: "The last ratings.".to_owned(), owners: vec!["team@example.com".to_owned()] };
    let told = pool.client().await.describe(RATED, None).await.expect("a description");
    assert_eq!((told.description, told.owners), (String::new(), Vec::new()), "nobody said what people say of it");
    world.route(&[(RATED, Route { about: Some(words.clone()), ..carrying(never, 3) })]).await;
    until("nothing is promised any more", async || {
        let described = pool.client().await.describe(RATED, None).await.expect("a description");
        let is_told = described.description == words.description && described.owners == words.owners;
        (is_told && described.contract.is_some_and(|c| c.freshness_p99_ms.is_none()) && degraded().await.is_empty()).then_some(())
    })
    .await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_without_a_snapshot_follows_a_changelog_that_was_dropped_as_far_as_base_has_it() {
    let world = World::new().await;
    world.happen(RATING, "u", 0..30).await;
    world.fold(RATING, &[World::feature("rated", 20)]).await;
    let base = Manifest::newest(&world.history(RATING)).await.expect("the lake answers").expect("a base");
    let at = |offsets: &[i64]| -> Vec<Position> { (0..).zip(offsets).map(|(partition, &offset)| Position { partition, offset }).collect() };
    assert!(base.changelog.iter().any(|position| *position > 0), "{base:?}");
    world.happen(RATING, "u", 30..33).await;
    let (log, changelog) = (world.platform.own_log(), layout::changelog(RATING));
    log.trim(&changelog, &at(&base.changelog)).await.expect("dropped by retention");
    let rated = world.revision("rated", 20).await;
    world.route(&[(RATED, route(&rated, 1))]).await;
    let pool = world.pool("one").await;
    pool.ready().await;
    assert_eq!(pool.items(RATED, "u").await.0, newest(20, 33));
    world.happen(RATING, "u", 33..35).await;
    until("it goes on", async || (pool.items(RATED, "u").await.0 == newest(20, 35)).then_some(())).await;
    pool.stop().await;

    // What base has not is missed, and said.
    let ends: Vec<i64> = log.ends(&changelog).await.expect("a changelog").iter().map(|ends| ends.end).collect();
    log.trim(&changelog, &at(&ends)).await.expect("dropped by retention");
    let other = world.pool("other").await;
    other.ready().await;
    let told = other.is(RATED, &rated, State::Failed).await;
    assert!(told.reason.contains("no longer reaches back"), "{}", told.reason);
    other.stop().await;
}
