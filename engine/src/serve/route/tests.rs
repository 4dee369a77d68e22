use std::sync::Arc;
use std::time::Duration;

use tempfile::tempdir;
use tokio_util::sync::CancellationToken;

use super::*;
use crate::entity::Entity;
use crate::error::ErrorKind;
use tress_configs::name::QualifiedName;

fn pinned(digest: &str) -> Pinned {
    Pinned { uid: format!("uid-{digest}"), digest: digest.to_owned() }
}

fn route(live: &str, trial: Option<(&str, u32)>, epoch: u64) -> Route {
    Route {
        live: Some(pinned(live)),
        trial: trial.map(|(digest, _)| pinned(digest)),
        weight_bp: trial.map_or(0, |(_, weight)| weight),
        epoch,
        ..Route::default()
    }
}

fn file(routes: &[(&str, Route)]) -> RouteFile {
    RouteFile { features: routes.iter().map(|(n, r)| ((*n).to_owned(), r.clone())).collect(), ..RouteFile::default() }
}

fn name() -> QualifiedName {
    QualifiedName::new("movies", "recent")
}

#[test]
fn a_canary_gets_its_share_and_keeps_its_entities_while_the_share_grows() {
    let hashes: Vec<i64> = (0..100_000).map(|i| Entity::String(format!("u{i}")).hash()).collect();
    let on_trial = |weight: u32| {
        let route = route("a", Some(("b", weight)), 1);
        hashes.iter().map(|h| matches!(route.choose(*h), Chosen::Trial(_))).collect::<Vec<_>>()
    };
    let (none, five, half, all) = (on_trial(0), on_trial(500), on_trial(5000), on_trial(10_000));
    assert!(none.iter().all(|t| !t));
    assert!(all.iter().all(|t| *t));
    let share = five.iter().filter(|t| **t).count();
    assert!((4_700..5_300).contains(&share), "{share} of 100,000 at 500 basis points");
    assert!(five.iter().zip(&half).all(|(five, half)| !five || *half));
}

#[tokio::test]
async fn a_lower_epoch_is_refused_also_after_a_restart() {
    let folder = tempdir().expect("a folder");
    let epochs = folder.path().join("epochs.json");
    let routes = Routes::open(Some(&epochs)).await.expect("no epochs yet");
    routes.apply(&file(&[("movies/recent", route("b", None, 7))]), Absent::Remove).await.expect("applied");
    drop(routes);

    let routes = Routes::open(Some(&epochs)).await.expect("epochs read");
    let applied = routes.apply(&file(&[("movies/recent", route("a", None, 6))]), Absent::Remove).await.expect("a value");
    assert_eq!(applied.refused, [Refused { feature: name(), epoch: 6, seen: 7 }]);
    assert!(routes.current().get(&name()).is_none());
    // Also when the feature was away in between.
    routes.apply(&file(&[]), Absent::Remove).await.expect("applied");
    let applied = routes.apply(&file(&[("movies/recent", route("c", None, 7))]), Absent::Remove).await.expect("applied");
    assert_eq!(applied.changed, [name()]);
}

#[tokio::test]
async fn one_epoch_has_one_meaning_but_may_load_more() {
    let routes = Routes::open(None).await.expect("no file");
    let first = route("a", None, 3);
    routes.apply(&file(&[("movies/recent", first.clone())]), Absent::Remove).await.expect("applied");
    let other = routes.apply(&file(&[("movies/recent", route("b", None, 3))]), Absent::Remove).await.expect("a value");
    assert_eq!(other.refused.len(), 1);
    assert_eq!(routes.current().get(&name()).map(|r| (**r).clone()), Some(first.clone()));
    let more = Route { loaded: vec![pinned("z")], ..first };
    let applied = routes.apply(&file(&[("movies/recent", more.clone())]), Absent::Remove).await.expect("applied");
    assert_eq!(applied.changed, [name()]);
    assert_eq!(routes.current().get(&name()).map(|r| (**r).clone()), Some(more));
}

#[tokio::test]
async fn epochs_that_cannot_be_kept_change_nothing() {
    let folder = tempdir().expect("a folder");
    let routes = Routes::open(Some(&folder.path().join("gone").join("epochs.json"))).await.expect("no epochs yet");
    routes.apply(&file(&[("movies/recent", route("a", None, 1))]), Absent::Remove).await.expect_err("there is no such folder");
    assert!(!routes.current().is_known());
}

#[tokio::test]
async fn a_file_is_followed_and_a_broken_one_keeps_what_was() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("routes.json");
    let routes = Routes::open(None).await.expect("no file");
    let mut watch = Watch::new(path.clone());
    assert!(matches!(watch.poll(&routes).await, Ok(Polled::Missing)));
    assert!(!routes.current().is_known());

    write(&path, &file(&[("movies/recent", route("a", None, 1))])).await.expect("written");
    assert!(matches!(watch.poll(&routes).await, Ok(Polled::Applied { .. })));
    assert!(matches!(watch.poll(&routes).await, Ok(Polled::Unchanged)));

    tokio::fs::write(&path, b"{\"version\": 1").await.expect("written");
    let Ok(Polled::Applied { broken, .. }) = watch.poll(&routes).await else { panic!("a broken file is looked at") };
    assert_eq!(broken.len(), 1);
    assert!(routes.current().get(&name()).is_some());

    tokio::fs::remove_file(&path).await.expect("removed");
    assert!(matches!(watch.poll(&routes).await, Ok(Polled::Missing)));
    assert!(routes.current().get(&name()).is_some(), "a file that vanished is no order to serve nothing");
}

#[tokio::test]
async fn a_folder_of_files_is_one_set_and_a_broken_file_harms_no_other() {
    let folder = tempdir().expect("a folder");
    let routes = Routes::open(None).await.expect("no file");
    let put = async |file_name: &str, bytes: Vec<u8>| tokio::fs::write(folder.path().join(file_name), bytes).await.expect("written");
    let json = |name: &str, route: Route| serde_json::to_vec(&file(&[(name, route)])).expect("json");
    put("movies.recent", json("movies/recent", route("a", None, 1))).await;
    put("movies.other", json("movies/other", route("x", None, 1))).await;
    put("..hidden", b"not a route".to_vec()).await;
    let mut watch = Watch::new(folder.path().to_owned());
    watch.poll(&routes).await.expect("read");
    assert_eq!(routes.current().iter().count(), 2);

    put("movies.other", b"broken".to_vec()).await;
    put("movies.recent", json("movies/recent", route("b", None, 2))).await;
    watch.poll(&routes).await.expect("read");
    let current = routes.current();
    assert_eq!(current.get(&name()).map(|r| r.epoch), Some(2));
    assert!(current.get(&QualifiedName::new("movies", "other")).is_some());
}

#[tokio::test]
async fn a_watch_tells_of_changes_and_ends_when_told() {
    let folder = tempdir().expect("a folder");
    let path = folder.path().join("routes.json");
    let routes = Arc::new(Routes::open(None).await.expect("no file"));
    let mut changes = routes.subscribe();
    let shutdown = CancellationToken::new();
    let watch = Arc::new(tokio::sync::Mutex::new(Watch::new(path.clone())));
    let watching = tokio::spawn(follow(watch, routes.clone(), Duration::from_millis(50), shutdown.clone()));
    write(&path, &file(&[("movies/recent", route("a", None, 1))])).await.expect("written");
    changes.changed().await.expect("a change");
    assert!(routes.current().get(&name()).is_some());
    shutdown.cancel();
    watching.await.expect("the watch ends");
}

#[tokio::test]
async fn a_push_is_in_force_before_the_file_and_no_older_file_undoes_it() {
    let folder = tempdir().expect("a folder");
    let (path, kept, epochs) = (folder.path().join("routes.json"), folder.path().join("pushed.json"), folder.path().join("epochs.json"));
    let routes = Routes::open(Some(&epochs)).await.expect("no epochs yet");
    let mut watch = Watch::open(path.clone(), &kept).await.expect("nothing was pushed yet");
    let push = |feature: &str, route: Route| file(&[(feature, route)]);
    let early = watch.push(&routes, &push("movies/recent", route("b", None, 2))).await.expect_err("the file was never read");
    assert_eq!(early.kind(), ErrorKind::Unavailable);
    assert!(!routes.current().is_known(), "a push makes nothing ready");

    write(&path, &file(&[("movies/recent", route("a", None, 1))])).await.expect("written");
    watch.poll(&routes).await.expect("read");
    watch.push(&routes, &push("movies/recent", route("b", None, 3))).await.expect("pushed");
    watch.push(&routes, &push("movies/new", route("n", None, 1))).await.expect("pushed");
    let refused = watch.push(&routes, &push("movies/recent", route("z", None, 2))).await.expect("a value");
    assert_eq!(refused.refused, [Refused { feature: name(), epoch: 2, seen: 3 }]);
    let epoch = |routes: &Routes, name: &QualifiedName| routes.current().get(name).map(|route| route.epoch);
    let new = QualifiedName::new("movies", "new");
    assert_eq!((epoch(&routes, &name()), epoch(&routes, &new), watch.filed("movies/recent")), (Some(3), Some(1), Some(1)));

    // The file changes, and is still older; then the process starts anew.
    write(&path, &file(&[("movies/recent", route("x", None, 2)), ("movies/other", route("o", None, 1))])).await.expect("written");
    watch.poll(&routes).await.expect("read");
    assert_eq!((epoch(&routes, &name()), epoch(&routes, &new)), (Some(3), Some(1)));
    let routes = Routes::open(Some(&epochs)).await.expect("epochs read");
    let mut watch = Watch::open(path.clone(), &kept).await.expect("read");
    watch.poll(&routes).await.expect("read");
    assert_eq!((epoch(&routes, &name()), epoch(&routes, &new)), (Some(3), Some(1)));

    // The file says it: from now on it decides, also that a feature is gone.
    let both = [("movies/recent", route("b", None, 3)), ("movies/new", route("n", None, 1))];
    write(&path, &file(&both)).await.expect("written");
    watch.poll(&routes).await.expect("read");
    assert_eq!(watch.filed("movies/recent"), Some(3));
    write(&path, &file(&both[..1])).await.expect("written");
    let Ok(Polled::Applied { applied, .. }) = watch.poll(&routes).await else { panic!("it has changed") };
    assert_eq!(applied.removed, [new]);
    assert_eq!(RouteFile::from_json(&std::fs::read(&kept).expect("kept")).expect("routes"), RouteFile::default());
}
