//! Events that cannot be used, as whoever runs Tress meets them.

use std::os::unix::fs::symlink;

use kube::ResourceExt;
use serde_json::Value;

use crate::deployed::Deployed;
use crate::site::{Site, kubectl, program, run};

/// Where a stream shows its metrics.
const MONITOR: u16 = 9090;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn an_event_that_cannot_be_used_is_counted_and_shown_by_kubectl_tress_and_holds_up_nothing() {
    const SPACE: &str = "letters";
    let site = Site::here().await;
    let deployed = Deployed::to(&site, SPACE).await;
    deployed.poison().await;
    deployed.produce(2).await;
    site.until("the event behind it is read", async || deployed.of.rows().await == Ok(2)).await;

    let letters: Value = serde_json::from_str(&tress(&["deadletters", "list", "--signal", "rating", "-n", SPACE, "-o", "json"])).unwrap();
    let letters = letters.as_array().expect("a list");
    assert_eq!(letters.len(), 1, "{letters:?}");
    assert_eq!((&letters[0]["topic"], &letters[0]["rawOffset"]), (&Value::from(&*deployed.topic), &Value::from(1)), "{letters:?}");
    assert!(tress(&["deadletters", "list", "--signal", "rating", "-n", SPACE]).contains(&deployed.topic));

    let stream = site.of_role(SPACE, "stream").await.first().map(ResourceExt::name_any).expect("it runs");
    let text = site.kubectl(&["get", "--raw", &format!("/api/v1/namespaces/{SPACE}/pods/{stream}:{MONITOR}/proxy/metrics")]);
    let counted: Vec<&str> = text.lines().filter(|line| line.starts_with("tress_signal_dead_letters_total{")).collect();
    assert!(matches!(counted[..], [line] if line.contains("rating") && line.ends_with(" 1")), "{counted:?}");
    site.leave(SPACE);
}

/// `kubectl tress …`.
fn tress(arguments: &[&str]) -> String {
    let folder = tempfile::tempdir().unwrap();
    symlink(program("tress"), folder.path().join("kubectl-tress")).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    run(kubectl(&["tress"]).env("PATH", path).args(arguments))
}
