use super::*;
use crate::clock::FixedClock;
use crate::error::ErrorKind;

fn clock() -> Arc<dyn Clock> {
    Arc::new(FixedClock::new(0))
}

fn text(folder: &std::path::Path, tables: &str, more: &str) -> String {
    let at = folder.display();
    format!(
        "connections:\n  main: {{kafka: {{bootstrap: [\"127.0.0.1:1\"]}}}}\n  lake: {{objectStore: {{url: \"file://{at}/lake\"}}}}\n  \
         tables: {{objectStore: {{url: \"file://{at}/{tables}\"}}}}\n{more}outputs: {{lake: lake, changelog: main}}\nsecrets: {at}/secrets\n"
    )
}

#[tokio::test]
async fn names_lead_where_the_file_says_and_others_are_refused_with_the_nearest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.yaml");
    let secret = "  safe: {kafka: {bootstrap: [\"k:1\"], auth: {saslSecret: kafka-auth}}}\n";
    std::fs::write(&path, text(folder.path(), "tables", secret)).unwrap();
    let (platform, _) = Platform::open(&path, clock()).unwrap();
    assert!(Arc::ptr_eq(&platform.log("main").unwrap(), platform.own_log()), "one connection, one log");
    assert!(folder.path().join("lake").is_dir() && !folder.path().join("tables").exists(), "opened when it is asked for");
    platform.tables("tables").unwrap();
    assert!(folder.path().join("tables").is_dir());
    let refused = [
        (platform.log("mian").unwrap_err(), ErrorKind::NotFound, "did you mean main?"),
        (platform.log("lake").unwrap_err(), ErrorKind::Invalid, "a Kafka is needed"),
        (platform.tables("main").unwrap_err(), ErrorKind::Invalid, "an object store is needed"),
        (platform.log("safe").unwrap_err(), ErrorKind::NotFound, "secrets/kafka-auth/username"),
    ];
    for (error, kind, told) in refused {
        assert_eq!(error.kind(), kind, "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
}

#[tokio::test]
async fn a_new_file_moves_what_changed_and_a_broken_one_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("platform.yaml");
    std::fs::write(&path, text(folder.path(), "first", "")).unwrap();
    let (platform, mut following) = Platform::open(&path, clock()).unwrap();
    let main = platform.log("main").unwrap();
    assert_eq!(following.look(&platform).await.unwrap(), Followed::Unchanged);
    std::fs::write(&path, text(folder.path(), "second", "  more: {objectStore: {url: \"file:///nowhere\"}}\n")).unwrap();
    assert_eq!(following.look(&platform).await.unwrap(), Followed::Applied { changed: vec!["more".into(), "tables".into()] });
    platform.tables("tables").unwrap();
    assert!(folder.path().join("second").is_dir() && !folder.path().join("first").exists());
    assert!(Arc::ptr_eq(&platform.log("main").unwrap(), &main), "what is as it was stays open");
    std::fs::write(&path, "connections: {main: {kafka: {}}}").unwrap();
    let error = following.look(&platform).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("platform.yaml:1:"), "{error}");
    platform.tables("tables").unwrap();
    std::fs::write(&path, text(folder.path(), "second", "").replace("lake: lake", "lake: tables")).unwrap();
    assert!(following.look(&platform).await.unwrap_err().to_string().contains("outputs"));
}
