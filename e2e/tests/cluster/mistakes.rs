//! What is missing or wrong outside is said where people look, and mended without any further ado.

use crate::definitions::{produce, signal_and_feature};
use crate::deployed::topic_of;
use crate::site::Site;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn a_topic_that_is_missing_is_said_and_the_feature_is_ready_once_it_is_there() {
    const SPACE: &str = "missing-topic";
    let site = Site::here().await;
    site.namespace(SPACE);
    let topic = topic_of(&site, SPACE);
    // By TLS and with a password: the same broker as `main`.
    site.apply(SPACE, &signal_and_feature(&topic).replace("connection: main", "connection: secure"));
    let told = || site.condition(SPACE, "signaldefinition/rating", "Prepared");
    site.until("the topic is named", async || told()[2].contains(&topic)).await;
    assert_ne!(told()[0], "True");
    let platform = site.platform();
    let log = platform.log("main").unwrap();
    log.create(&topic, 1).await.unwrap();
    produce(&*log, &topic, ("a", 1), "home").await;
    site.wait(SPACE, "sequencefeature/recent");
    let reader = site.reader(SPACE).await;
    let is_read = async || Site::items(&reader, &format!("{SPACE}/recent"), "a").await.is_ok_and(|items| items == [1]);
    site.until("the event is read", is_read).await;
    site.leave(SPACE);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs a cluster with Tress: e2e/check"]
async fn wrong_credentials_are_said_without_being_shown_and_right_ones_are_taken() {
    const SPACE: &str = "wrong-keys";
    const WRONG: &str = "not-the-key-83641";
    let site = Site::here().await;
    site.namespace(SPACE);
    let log = site.platform().log("main").unwrap();
    log.create(SPACE, 1).await.unwrap();
    let patch = format!(r#"{{"stringData":{{"secretAccessKey":"{WRONG}"}}}}"#);
    site.kubectl(&["patch", "secret", "lake", "--namespace", SPACE, "--patch", &patch]);
    site.apply(SPACE, &signal_and_feature(SPACE));
    let told = || site.condition(SPACE, "signaldefinition/rating", "Prepared");
    site.until("it is said that the lake refuses", async || told()[2].contains("lake")).await;
    assert_ne!(told()[0], "True");
    let everything = site.kubectl(&["get", "tress,jobs,pods,events,configmaps", "--namespace", SPACE, "-o", "json"]);
    assert!(!everything.contains(WRONG), "the key is shown");
    site.namespace(SPACE);
    site.wait(SPACE, "sequencefeature/recent");
    site.leave(SPACE);
}
