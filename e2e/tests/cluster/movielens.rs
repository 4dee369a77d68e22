//! MovieLens 100k: definitions applied, events shuffled and a fifth of them twice, operator and pods killed in the middle; byte for byte
//! what one machine gives.

use std::collections::BTreeSet;

use bytes::Bytes;
use kube::ResourceExt;
use kube::api::DeleteParams;
use object_store::path::Path as Key;
use object_store::{ObjectStoreExt, PutPayload};
use tress_engine::log::NewRecord;

use crate::ratings::{Stored, compiled, data, definitions, local, movies, ratings, read_all, shuffle};
use crate::site::Site;

/// The definitions name it.
const SPACE: &str = "movies";
const TOPIC: &str = "ratings";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn movielens_applied_to_a_cluster_is_byte_for_byte_the_local_run_whatever_is_killed() {
    let site = Site::here().await;
    site.namespace(SPACE);
    let from = data();
    let (stored, table) = (ratings(&from), movies(&from));
    let users: BTreeSet<i64> = stored.iter().map(|s| s.user).collect();
    let platform = site.platform();
    platform.lake().store().put(&Key::from("movies/part-0.parquet"), PutPayload::from(table.clone())).await.expect("a table");
    let log = platform.log("main").expect("a log");
    log.create(TOPIC, 4).await.expect("a topic");
    let mut events: Vec<&Stored> = stored.iter().chain(stored.iter().step_by(5)).collect();
    shuffle(&mut events);
    let (first, second) = events.split_at(events.len() / 2);
    let produce = async |part: &[&Stored]| {
        for (n, some) in part.chunks(2000).enumerate() {
            let records = some.iter().map(|s| NewRecord { payload: s.json.clone().into(), ..NewRecord::default() }).collect();
            log.append(TOPIC, i32::try_from(n % 4).expect("few"), records).await.expect("produced");
        }
    };
    produce(first).await;
    site.apply(SPACE, &definitions(TOPIC));
    for object in ["sequencefeature/recent-movies", "sequencefeature/movie-sessions", "signaldefinition/rating"] {
        site.wait(SPACE, object);
    }

    let folder = tempfile::tempdir().expect("a folder");
    let (node, one_machine) = local(folder.path(), &table, (compiled(TOPIC).0, TOPIC), &stored).await;
    let expected = read_all(&one_machine, &users).await.expect("it is served");
    assert!(expected.iter().map(Bytes::len).sum::<usize>() > 1 << 20, "there is something to compare");

    // The rest comes while what reads and serves it is killed.
    let pods = site.pods(SPACE);
    for role in ["stream", "serve"] {
        let victim = site.of_role(SPACE, role).await.first().map(ResourceExt::name_any).expect("it runs");
        pods.delete(&victim, &DeleteParams::default().grace_period(0)).await.expect("killed");
    }
    site.kill_leader().await;
    produce(second).await;
    let reader = site.reader(SPACE).await;
    site.until("every sequence as it is on one machine", async || read_all(&reader, &users).await.is_ok_and(|read| read == expected)).await;

    // Each pod by itself, and a pod that begins anew.
    let victim = site.of_role(SPACE, "serve").await.first().map(ResourceExt::name_any).expect("it runs");
    pods.delete(&victim, &DeleteParams::default().grace_period(0)).await.expect("killed");
    site.until("two pods are ready", async || site.get(SPACE, "deployment/tress-default")["status"]["readyReplicas"] == 2).await;
    for pod in site.of_role(SPACE, "serve").await {
        let Some(address) = pod.status.and_then(|status| status.pod_ip) else { continue };
        let one = tress_engine::serve::Client::connect(&format!("http://{address}:7400"), std::time::Duration::from_secs(60))
            .await
            .expect("it answers");
        site.until("every pod answers the same", async || read_all(&one, &users).await.is_ok_and(|read| read == expected)).await;
    }
    node.shutdown().await.expect("it stops");
    site.leave(SPACE);
}
