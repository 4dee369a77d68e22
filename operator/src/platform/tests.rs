use super::*;

const FULL: &str = r#"
connections:
  main: {kafka: {bootstrap: ["kafka:9092"], topics: {create: Always, name: "tress.{signal}.{uid}"}}, namespaces: [movies]}
  lake: {objectStore: {url: "s3://acme/ml", endpoint: "http://s3:7070", credentialsSecret: lake}, namespaces: ["*"]}
outputs: {lake: lake, changelog: main}
pools: {default: {replicas: 3, disk: 40Gi, memory: 4Gi}, big: {memory: 16Gi}}
limits: {perNamespace: {features: 5, runningRevisions: 6, backfillParallelism: 7, rolloutSlots: 8}}
engine: {image: "tress-engine:1", semantics: [1, 2], serviceAccountAnnotations: {role: reader}}
quiet: 90s
"#;

#[test]
fn a_whole_configuration_is_read() {
    let platform = Platform::parse(FULL, &Scopes::All).unwrap();
    let pool = |name: &str| (platform.pools[name].replicas, platform.pools[name].disk.clone(), platform.pools[name].memory_bytes());
    assert_eq!((pool("default"), pool("big")), ((3, "40Gi".to_owned(), 4 << 30), (2, "20Gi".to_owned(), 16 << 30)));
    assert_eq!(platform.limits.per_namespace.rollout_slots, 8);
    assert_eq!((platform.engine.semantics, platform.quiet), ([1, 2], SignedDuration::from_secs(90)));
    assert!(platform.file.connections["main"].admits("movies"));
}

#[test]
fn what_is_left_out_has_its_default() {
    let short = FULL.lines().filter(|l| !["pools", "limits", "quiet"].iter().any(|k| l.starts_with(k))).collect::<Vec<_>>().join("\n");
    let platform = Platform::parse(&short, &Scopes::All).unwrap();
    assert_eq!(platform.pools.keys().collect::<Vec<_>>(), ["default"]);
    let of = &platform.limits.per_namespace;
    assert_eq!((of.features, of.running_revisions, of.backfill_parallelism, of.rollout_slots), (500, 600, 16, 10));
    assert_eq!((platform.limits.rollout_slots, platform.quiet), (50, SignedDuration::from_secs(30)));
}

#[test]
fn every_mistake_is_told_at_once_with_its_place() {
    let bad = FULL
        .replace("replicas: 3", "replicas: 0")
        .replace("memory: 16Gi", "memroy: 16Gi")
        .replace("[1, 2]", "[1]")
        .replace("quiet: 90s", "quiet: soon");
    let places = |text: &str| -> Vec<String> {
        let issues = Platform::parse(text, &Scopes::All).unwrap_err();
        issues.iter().map(|i| format!("{} {}:{}", i.path, i.position.unwrap().line, i.position.unwrap().column)).collect()
    };
    assert_eq!(places(&bad), ["pools.default.replicas 6:29", "pools.big.memroy 6:64", "engine.semantics 8:35", "quiet 9:8"]);
    // What only a second look finds is told together, too.
    let bad = FULL
        .replace("default: {replicas", "Deflt: {replicas")
        .replace("disk: 40Gi", "disk: 40 gigs")
        .replace("[1, 2]", "[2, 1]")
        .replace("lake: lake,", "lake: lakes,");
    let found = places(&bad);
    let wanted = ["outputs.lake 5:17", "pools 6:1", "pools.Deflt 6:9", "pools.Deflt.disk 6:36", "engine.semantics 8:35"];
    assert_eq!(found, wanted);
}
