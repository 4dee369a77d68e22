//! The kinds themselves are deleted: every definition goes with them, and none of the data.

use std::time::{Duration, Instant};

use kube::ResourceExt;
use kube::api::ListParams;
use tress_engine::layout;
use tress_engine::log::Position;

use crate::declared::feature;
use crate::definitions::{file, rate, signal};
use crate::site::{Site, files, unused};

const USER: &str = "a";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn kinds_that_are_deleted_come_back_with_the_chart_and_sequences_from_the_lake() {
    let (site, space) = (Site::here().await, unused("kinds"));
    site.namespace(&space);
    let platform = site.platform();
    let log = platform.log("main").unwrap();
    log.create(&space, 1).await.unwrap();
    rate(&*log, &space, ("", USER), [(1, 1), (2, 2), (3, 3)]).await;
    let definitions = file(&[signal("rating", &space), feature("recent", &["rating"])]);
    let served = async |expected: &[i64]| {
        site.apply(&space, &definitions);
        site.wait(&space, "seq/recent");
        let reader = site.reader(&space).await;
        site.until(&format!("it is {expected:?}"), async || {
            Site::items(&reader, &format!("{space}/recent"), USER).await.is_ok_and(|items| items == expected)
        })
        .await;
    };
    served(&[1, 2, 3]).await;
    let revision = || site.get(&space, "sigrev")["items"][0]["metadata"]["uid"].as_str().unwrap_or_default().to_owned();
    let before = revision();
    assert!(!before.is_empty());
    let topic = log.id(&space).await.unwrap().topic;
    let archived = async || {
        let files = files(&platform, &layout::raw("main", &space, &topic)).await;
        files.iter().any(|file| file.ends_with(&format!("-{:020}.parquet", 3)))
    };
    site.until("all of it is archived", archived).await;
    // The topic forgets them: what was archived is all there is.
    log.trim(&space, &[Position { partition: 0, offset: 3 }]).await.unwrap();
    assert_eq!(log.ends(&space).await.unwrap()[0].start, 3);

    let operators = async || {
        let all = site.pods(&site.space).list(&ListParams::default().labels("app.kubernetes.io/name=tress-operator")).await.unwrap();
        let restarts = |pod: &k8s_openapi::api::core::v1::Pod| {
            pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten()).map(|c| c.restart_count).sum::<i32>()
        };
        all.items.iter().map(|pod| (pod.name_any(), restarts(pod))).collect::<Vec<_>>()
    };
    let they = operators().await;
    let kinds = site.kubectl(&["get", "crd", "--output", "name"]);
    let kinds: Vec<&str> = kinds.lines().filter(|kind| kind.ends_with(".tress.dev")).collect();
    assert_eq!(kinds.len(), 6, "{kinds:?}");
    let began = Instant::now();
    site.kubectl(&[&["delete", "--wait=true", "--timeout=150s"][..], &kinds[..]].concat());
    println!("the kinds went in {:?}", began.elapsed());
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(operators().await, they, "operators go on without kinds");

    site.upgrade();
    rate(&*log, &space, ("", USER), [(4, 4)]).await;
    served(&[1, 2, 3, 4]).await;
    assert_ne!(revision(), before, "a new revision, of the same archive");
    assert_eq!(operators().await, they);
    site.leave(&space);
}
