use super::*;
use crate::issue::IssueCode;

const FULL: &str = r#"
connections:
  main:
    kafka:
      bootstrap: ["kafka-0:9092", "kafka-1:9092"]
      auth: {saslSecret: kafka-auth, mechanism: PLAIN}
      tls: {caSecret: kafka-ca}
      topics: {create: Never}
      registry: {url: "https://registry:8081/ccompat", auth: {secret: registry}, tls: {caSecret: registry-ca}}
    namespaces: [movies]
  lake:
    objectStore: {url: "s3://acme/ml", endpoint: "http://s3:7070", credentialsSecret: lake}
    namespaces: ["*"]
outputs: {lake: lake, changelog: main}
"#;

fn mistakes(text: &str) -> Vec<(String, IssueCode, usize, usize)> {
    let issues = PlatformFile::parse("platform.yaml", text).expect_err("something is wrong with it");
    for issue in &issues {
        assert!(!issue.help.is_empty() && issue.file.as_deref() == Some("platform.yaml"), "{issue}");
    }
    issues.into_iter().map(|i| (i.path, i.code, i.position.map_or(0, |p| p.line), i.position.map_or(0, |p| p.column))).collect()
}

#[test]
fn a_platform_file_is_read_whole() {
    let file = PlatformFile::parse("platform.yaml", FULL).unwrap();
    let main = file.connections["main"].kafka.as_ref().unwrap();
    assert_eq!(main.bootstrap, ["kafka-0:9092", "kafka-1:9092"]);
    assert_eq!(main.auth.as_ref().unwrap().mechanism, SaslMechanism::Plain);
    assert_eq!(main.topics.create, CreateTopics::Never);
    let registry = main.registry.as_ref().unwrap();
    assert_eq!((registry.url.as_str(), registry.auth.as_ref().unwrap().secret.as_str()), ("https://registry:8081/ccompat", "registry"));
    assert_eq!(registry.tls.as_ref().unwrap().ca_secret, "registry-ca");
    assert_eq!(file.secrets, SECRETS);
    assert!(file.connections["main"].admits("movies") && !file.connections["main"].admits("playback"));
    assert!(file.connections["lake"].admits("playback"));
}

#[test]
fn everything_that_is_wrong_is_told_at_once_and_where() {
    let text = r#"
connections:
  main:
    kafka:
      bootstrap: ["kafka"]
      auht: {saslSecret: kafka-auth}
    namespaces: "movies"
  lake: {objectStore: {urll: "s3://acme/ml"}}
outputs: {lake: lake}
"#;
    assert_eq!(
        mistakes(text),
        [
            ("connections.main.kafka.auht".to_owned(), IssueCode::UnknownField, 6, 7),
            ("connections.main.namespaces".to_owned(), IssueCode::WrongType, 7, 17),
            ("connections.lake.objectStore.urll".to_owned(), IssueCode::UnknownField, 8, 24),
            ("connections.lake.objectStore.url".to_owned(), IssueCode::MissingField, 8, 10),
            ("outputs.changelog".to_owned(), IssueCode::MissingField, 9, 1),
        ]
    );
    let issues = PlatformFile::parse("platform.yaml", text).unwrap_err();
    assert_eq!(issues[0].help, "did you mean \"auth\"?");
}

#[test]
fn names_addresses_and_references_are_checked() {
    let text = r#"
connections:
  Main: {kafka: {bootstrap: ["kafka", "k:9092"]}}
  both: {kafka: {bootstrap: ["k:1"]}, objectStore: {url: "s3://b"}}
  none: {namespaces: ["*"]}
  lake: {objectStore: {url: "ftp://x", endpoint: "s3:7070", credentialsSecret: "../../etc"}}
  disk: {objectStore: {url: "file:///data", region: eu}}
outputs: {lake: lakes, changelog: disk}
secrets: here
"#;
    let mut found: Vec<_> = mistakes(text).into_iter().map(|(path, code, line, _)| (line, path, code)).collect();
    found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    assert_eq!(
        found,
        [
            (3, "connections.Main".to_owned(), IssueCode::InvalidName),
            (3, "connections.Main.kafka.bootstrap[0]".to_owned(), IssueCode::InvalidName),
            (4, "connections.both".to_owned(), IssueCode::OneOf),
            (5, "connections.none".to_owned(), IssueCode::OneOf),
            (6, "connections.lake.objectStore.credentialsSecret".to_owned(), IssueCode::InvalidName),
            (6, "connections.lake.objectStore.endpoint".to_owned(), IssueCode::InvalidName),
            (6, "connections.lake.objectStore.url".to_owned(), IssueCode::InvalidName),
            (7, "connections.disk.objectStore.region".to_owned(), IssueCode::Conflict),
            (8, "outputs.changelog".to_owned(), IssueCode::Conflict),
            (8, "outputs.lake".to_owned(), IssueCode::UnknownReference),
            (9, "secrets".to_owned(), IssueCode::InvalidName),
        ]
    );
}

#[test]
fn an_object_store_is_of_s3_google_azure_or_a_folder_and_its_address_holds_no_key() {
    let text = r#"
connections:
  a: {objectStore: {url: "gs://acme/ml", credentialsSecret: lake}}
  b: {objectStore: {url: "abfss://ml@acme.dfs.core.windows.net/x", endpoint: "http://localhost:10000/acme"}}
  c: {objectStore: {url: "abfss://acme.dfs.core.windows.net/x"}}
  d: {objectStore: {url: "abfss://ml:key@acme.dfs.core.windows.net/x"}}
  e: {objectStore: {url: "gs://"}}
  f: {objectStore: {url: "gs://acme/ml", region: "eu"}}
  g: {objectStore: {url: "s3://acme/ml", endpoint: "http://localhost:10000/acme"}}
  h: {objectStore: {url: "wasb://acme/ml"}}
  k: {kafka: {bootstrap: ["k:1"]}}
outputs: {lake: a, changelog: k}
"#;
    let mut found: Vec<_> = mistakes(text).into_iter().map(|(path, code, line, _)| (line, path, code)).collect();
    found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    assert_eq!(
        found,
        [
            (5, "connections.c.objectStore.url".to_owned(), IssueCode::InvalidName),
            (6, "connections.d.objectStore.url".to_owned(), IssueCode::InvalidName),
            (7, "connections.e.objectStore.url".to_owned(), IssueCode::InvalidName),
            (8, "connections.f.objectStore.region".to_owned(), IssueCode::Conflict),
            (9, "connections.g.objectStore.endpoint".to_owned(), IssueCode::InvalidName),
            (10, "connections.h.objectStore.url".to_owned(), IssueCode::InvalidName),
        ]
    );
}

#[test]
fn a_registry_is_checked_and_never_holds_a_password() {
    let text = r#"
connections:
  a: {kafka: {bootstrap: ["k:1"], registry: {url: "https://me:secret@registry"}}}
  b: {kafka: {bootstrap: ["k:1"], registry: {url: "registry:8081"}}}
  c: {kafka: {bootstrap: ["k:1"], registry: {url: "http://registry:8081", tls: {caSecret: "../ca"}, auth: {secret: "A"}}}}
  d: {objectStore: {url: "s3://b"}}
outputs: {lake: d, changelog: a}
"#;
    let mut found: Vec<_> = mistakes(text).into_iter().map(|(path, code, line, _)| (line, path, code)).collect();
    found.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    assert_eq!(
        found,
        [
            (3, "connections.a.kafka.registry.url".to_owned(), IssueCode::InvalidName),
            (4, "connections.b.kafka.registry.url".to_owned(), IssueCode::InvalidName),
            (5, "connections.c.kafka.registry.auth.secret".to_owned(), IssueCode::InvalidName),
            (5, "connections.c.kafka.registry.tls".to_owned(), IssueCode::Conflict),
            (5, "connections.c.kafka.registry.tls.caSecret".to_owned(), IssueCode::InvalidName),
        ]
    );
}

#[test]
fn broken_empty_and_doubled_files_are_told_apart() {
    assert_eq!(mistakes("connections: [").first().map(|m| m.1), Some(IssueCode::Syntax));
    assert_eq!(mistakes("").first().map(|m| m.1), Some(IssueCode::MissingField));
    assert_eq!(mistakes(&format!("{FULL}---{FULL}")).first().map(|m| m.1), Some(IssueCode::Duplicate));
    assert_eq!(mistakes(&FULL.replace("outputs:", "connections: {}\noutputs:")).first().map(|m| m.1), Some(IssueCode::Duplicate));
}

#[test]
fn topics_are_named_by_a_template_that_tells_revisions_apart() {
    let with = |topics: &str| FULL.replace("topics: {create: Never}", &format!("topics: {topics}"));
    let topics = |text: &str| PlatformFile::parse("platform.yaml", text).unwrap().connections["main"].kafka.clone().unwrap().topics;
    let rating = crate::name::QualifiedName::new("movies", "rating");
    let omitted = topics(FULL);
    assert_eq!((omitted.stem(&rating, "u-1"), omitted.retention.millis(), omitted.replicas), ("tress.u-1".into(), 7 * 86_400_000, None));
    let given = topics(&with(r#"{name: "acme.{signal}.{uid}", retention: 2d, replicas: 3}"#));
    let expected = ("acme.movies-rating.u-1".to_owned(), 2 * 86_400_000, Some(3));
    assert_eq!((given.stem(&rating, "u-1"), given.retention.millis(), given.replicas), expected);
    for wrong in [
        "acme",
        "acme.{signal}",
        "{uid}{uid}",
        "{uid}.{signal}.{signal}",
        "{uid}.{name}",
        "a b.{uid}",
        ".{uid}",
        &format!("{}{{uid}}", "x".repeat(41)),
    ] {
        let found = mistakes(&with(&format!("{{name: \"{wrong}\"}}")));
        assert_eq!(
            found.iter().map(|m| (m.0.as_str(), m.1)).collect::<Vec<_>>(),
            [("connections.main.kafka.topics.name", IssueCode::InvalidName)],
            "{wrong}"
        );
    }
    let short = mistakes(&with("{retention: 59m}"));
    assert_eq!((short[0].0.as_str(), short[0].1), ("connections.main.kafka.topics.retention", IssueCode::OutOfRange));
}
