//! An operator that renders everything otherwise takes over without a single write.

use crate::deployed::{Deployed, SHORTER};
use crate::reading::Reading;
use crate::release::{Release, operator_image};
use crate::site::{Site, program};
use crate::written::{at_rest, is_of_workload};

/// What stands in the program once for each object that is rendered, and what it becomes: as long, so that nothing moves.
const LABEL: [&str; 2] = ["app.kubernetes.io/component", "app.kubernetes.io/componenX"];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn an_operator_that_renders_otherwise_takes_over_with_zero_writes_and_renders_what_is_new_its_own_way() {
    const SPACE: &str = "renderer";
    let site = Site::here().await;
    let release = Release::of(&site);
    let Deployed { of, .. } = Deployed::to(&site, SPACE).await;
    let reading = Reading::begin(of, 1);
    let before = at_rest(&site, SPACE).await;
    assert!(before.keys().any(|name| name == "Deployment/tress-default"), "{before:?}");

    let old = site.operators().await;
    let image = operator_image(&other_program());
    release.with(&format!("operator: {{image: \"{image}\"}}"));
    site.until("one of the new operators leads", async || {
        let leader = site.leader().await;
        !leader.is_empty() && !old.iter().any(|pod| leader.starts_with(pod.as_str()))
    })
    .await;
    assert_eq!(at_rest(&site, SPACE).await, before);

    // It is another one indeed.
    site.apply(SPACE, SHORTER);
    site.wait(SPACE, "sequencefeature/shorter");
    let otherwise = site.kubectl(&["get", "configmaps", "--namespace", SPACE, "--selector", LABEL[1], "-o", "name"]);
    assert!(otherwise.contains("shorter"), "what is new is rendered as before: {otherwise:?}");
    let now = at_rest(&site, SPACE).await;
    let touched: Vec<_> = before.iter().filter(|(name, version)| is_of_workload(name) && now.get(*name) != Some(*version)).collect();
    assert_eq!(touched, Vec::new());
    reading.end().await;
    site.leave(SPACE);
    release.restore();
}

/// The operator, with another label in all that it renders.
fn other_program() -> Vec<u8> {
    let mut program = std::fs::read(program("tress-operator")).unwrap();
    let [from, to] = LABEL.map(str::as_bytes);
    let mut found = 0;
    let mut at = 0;
    while let Some(next) = program[at..].windows(from.len()).position(|window| window == from) {
        program[at + next..at + next + to.len()].copy_from_slice(to);
        at += next + to.len();
        found += 1;
    }
    assert!(found > 0, "{} stands nowhere in the program", LABEL[0]);
    program
}
