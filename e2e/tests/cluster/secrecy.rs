//! Nothing of what users did stands in logs, statuses or events; nothing is logged that nobody expects.

use tress_engine::entity::Entity;
use tress_engine::serve::Wanted;

use crate::definitions::{produce, signal_and_feature};
use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn nothing_that_users_did_is_in_logs_or_objects_and_a_quiet_day_warns_of_nothing() {
    const SPACE: &str = "secrecy";
    const USER: &str = "zebra-7731";
    const VALUE: &str = "quagga-4242";
    let site = Site::here().await;
    site.namespace(SPACE);
    let log = site.platform().log("main").unwrap();
    log.create(SPACE, 1).await.unwrap();
    produce(&*log, SPACE, (USER, 1), VALUE).await;
    // One that is no event at all, and one with a field of a wrong type: dead letters.
    let wrong = [format!("{VALUE} is no JSON"), format!(r#"{{"user_id":"{USER}","item_id":"{VALUE}","ts":1}}"#)];
    let records = wrong.map(|payload| tress_engine::log::NewRecord { payload: payload.into(), ..Default::default() });
    log.append(SPACE, 0, records.to_vec()).await.unwrap();
    site.apply(SPACE, &signal_and_feature(SPACE));
    site.wait(SPACE, "sequencefeature/recent");
    let reader = site.reader(SPACE).await;
    let entity = Entity::String(USER.to_owned());
    let read = async || reader.get(&format!("{SPACE}/recent"), &entity, &Wanted::default()).await;
    site.until("the event is read", async || read().await.is_ok_and(|reply| reply.rows.num_rows() == 1)).await;
    let logs = format!("{}{}", site.logs(SPACE).await, site.logs(&site.space).await);
    assert!(logs.lines().count() > 10, "there is something to look at: {logs}");
    let objects = site.kubectl(&["get", "tress,jobs,pods,events,configmaps,deployments", "--namespace", SPACE, "-o", "json"]);
    for (what, text) in [("logs", &logs), ("objects", &objects)] {
        let found: Vec<&str> = text.lines().filter(|line| line.contains(USER) || line.contains(VALUE)).collect();
        assert_eq!(found, Vec::<&str>::new(), "{what}");
    }
    let errors: Vec<&str> =
        logs.lines().filter(|line| line.starts_with(SPACE) && (line.contains(" ERROR ") || line.contains("\"ERROR\""))).collect();
    assert_eq!(errors, Vec::<&str>::new());
    site.leave(SPACE);
}
