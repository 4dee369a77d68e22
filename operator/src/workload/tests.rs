//! Every object that is built, as a file in operator/golden: what a review reads, and what e2e shows to a real API server.
//! `TRESS_BLESS=1` writes them anew.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use tress_configs::definition::StreamRuntime;
use tress_configs::job::Demanded;
use tress_configs::platform::PlatformFile;
use tress_configs::route::{Pinned, Route};
use tress_configs::yaml;
use tress_crds::backfill::{BackfillSpec, Incremental, Mode, Restate};

use super::*;

fn place() -> Place {
    Place { namespace: "movies".to_owned(), image: "tress-engine:1".to_owned(), secrets: vec!["kafka-auth".to_owned(), "lake".to_owned()] }
}

fn owner(kind: &'static str, name: &str) -> Owner {
    Owner { kind, name: name.to_owned(), uid: "11111111-2222-3333-4444-555555555555".to_owned() }
}

const PLATFORM: &str = "
connections:
  main: {kafka: {bootstrap: [\"kafka:9092\"], auth: {saslSecret: kafka-auth}, tls: {caSecret: kafka-ca}, registry: {url: \"https://registry\", auth: {secret: registry-auth}, tls: {caSecret: registry-ca}}}, namespaces: [movies, playback]}
  lake: {objectStore: {url: \"s3://acme/ml\", credentialsSecret: lake}, namespaces: [\"*\"]}
  theirs: {objectStore: {url: \"s3://theirs/raw\", credentialsSecret: theirs}, namespaces: [playback]}
outputs: {lake: lake, changelog: main}
";

/// By the name of its file.
fn all() -> BTreeMap<&'static str, Value> {
    let signal = owner("SignalRevision", "rating-abcdefghij");
    let feature = owner("SequenceRevision", "recent-movies-abcdefghij");
    let filled = owner("Backfill", "rating-klmnopqrst");
    let config = owner("ConfigMap", "tress-platform");
    let revision = Revision { owner: feature.clone(), plan: "{}".to_owned(), signals: vec!["uid-a".to_owned(), "uid-b".to_owned()] };
    let incremental = Mode { incremental: Some(Incremental {}), restate: None };
    let restate =
        Mode { incremental: None, restate: Some(Restate { buckets: Some(vec!["2024-01-31".to_owned(), "2024-02-01".to_owned()]) }) };
    let spec = BackfillSpec { revision: signal.name.clone(), mode: incremental.clone(), parallelism: Some(8), suspend: None };
    let runtime: StreamRuntime =
        serde_json::from_value(json!({"replicas": 2, "resources": {"requests": {"cpu": "1"}, "limits": {"memory": "256Mi"}}})).unwrap();
    let archived = Archived { name: "archive-main-ratings".to_owned(), connection: "main".to_owned(), topic: "ratings".to_owned() };
    let serving = Pool { name: "default".to_owned(), replicas: 2, disk: "20Gi".to_owned(), memory: 2 << 30 };
    let platform = PlatformFile::parse("platform.yaml", PLATFORM).unwrap();
    let [service, pods] = pool_service(&place(), "default");
    let [network, disruption] = <[Value; 2]>::try_from(pool_guards(&place(), &serving)).unwrap();
    let live = Pinned { uid: "u".to_owned(), digest: "0123456789abcdef0123456789abcdef".to_owned() };
    let entry = Route { feature_uid: Some("f".to_owned()), live: Some(live), epoch: 3, attempt: Some(1), ..Route::default() };
    let filled = Filled { owner: &filled, spec: &spec, resources: None };
    let restated = BackfillSpec { mode: restate, ..spec.clone() };
    let another = Owner { uid: "11111111-2222-3333-4444-666666666666".to_owned(), ..owner("SignalRevision", "rating-bcdefghijk") };
    let [archiving, archive_network] = archive(&place(), &[signal.clone(), another], &archived);
    BTreeMap::from([
        ("plan-configmap", plan_of(&place(), &revision)),
        ("prepare-job", prepare(&place(), &revision)),
        ("stream-deployment", stream(&place(), &signal, Some(&runtime))),
        ("archive-deployment", archiving),
        ("archive-network", archive_network),
        ("demands-configmap", demands(&place(), &signal, &Demanded::new(3, vec!["0123456789abcdef0123456789abcdef".to_owned()]))),
        ("backfill-plan-job", plan(&place(), Filled { spec: &restated, ..filled }, &signal)),
        ("backfill-work-job", work(&place(), filled, &signal, (7, 40))),
        ("backfill-seal-job", seal(&place(), filled, &signal, 7)),
        ("base-job", base(&place(), &signal, None)),
        ("drop-job", drop(&place(), &signal, ("rating-abcdefghij", "uid-a"))),
        ("drop-elsewhere-job", drop_elsewhere(&place(), &config, ("tress-owned-abcdefghij", "uid-a"))),
        ("pool-deployment", pool(&place(), &serving)),
        ("pool-service", service),
        ("pool-pods-service", pods),
        ("pool-route-configmap", route(&place(), "default", &BTreeMap::from([("recent-movies".to_owned(), entry)]))),
        ("pool-disruption", disruption),
        ("pool-network", network),
        ("service-account", service_account("movies", &json!({"eks.amazonaws.com/role-arn": "arn:aws:iam::1:role/tress"}))),
        ("connections-configmap", connections(&platform, "movies").0),
        ("connections-all-configmap", all_connections(&platform, "tress").0),
    ])
}

#[test]
fn base_is_made_with_what_the_definition_gives_its_backfills() {
    let revision = owner("SignalRevision", "rating-abcdefghij");
    let given: tress_configs::definition::Resources = serde_json::from_value(json!({"limits": {"memory": "16Gi"}})).unwrap();
    let memory = |given| base(&place(), &revision, given).pointer("/spec/template/spec/containers/0/resources/limits/memory").cloned();
    assert_eq!([memory(None), memory(Some(&given))], [Some(json!("2Gi")), Some(json!("16Gi"))]);
}

#[test]
fn every_object_is_as_its_golden_file() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden");
    let objects = all();
    if std::env::var_os("TRESS_BLESS").is_some() {
        fs::create_dir_all(&folder).unwrap();
        for (name, object) in &objects {
            fs::write(folder.join(format!("{name}.yaml")), yaml::document(object)).unwrap();
        }
    }
    for (name, object) in &objects {
        let path = folder.join(format!("{name}.yaml"));
        let found = fs::read_to_string(&path).unwrap_or_default();
        assert!(found == yaml::document(object), "{} is stale: run make bless, and look at the difference", path.display());
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), objects.len(), "a golden file of nothing");
}

/// The pods of all workloads, with the names of their objects.
fn pods() -> Vec<(&'static str, Value)> {
    let pods = all().into_iter().filter_map(|(name, object)| Some((name, object.pointer("/spec/template/spec")?.clone())));
    pods.collect()
}

#[test]
fn every_pod_keeps_to_the_restricted_standard() {
    let pods = pods();
    assert_eq!(pods.len(), 10);
    for (name, pod) in pods {
        assert_eq!(pod["automountServiceAccountToken"], false, "{name}");
        assert_eq!(pod["securityContext"]["runAsNonRoot"], true, "{name}");
        assert_eq!(pod["securityContext"]["seccompProfile"]["type"], "RuntimeDefault", "{name}");
        for container in pod["containers"].as_array().unwrap() {
            let security = &container["securityContext"];
            assert_eq!(security["readOnlyRootFilesystem"], true, "{name}");
            assert_eq!(security["allowPrivilegeEscalation"], false, "{name}");
            assert_eq!(security["capabilities"]["drop"], json!(["ALL"]), "{name}");
            assert!(
                container["resources"]["limits"]["memory"].is_string() && container["resources"]["requests"]["cpu"].is_string(),
                "{name}"
            );
        }
        let bounded = |v: &Value| v.get("emptyDir").is_none_or(|e| e["sizeLimit"].is_string());
        assert!(pod["volumes"].as_array().unwrap().iter().all(bounded), "{name}");
    }
}

#[test]
fn every_mount_has_its_volume_and_every_volume_is_mounted() {
    for (name, pod) in pods() {
        let names = |list: &Value| -> BTreeSet<String> {
            list.as_array().unwrap().iter().filter_map(|v| v["name"].as_str().map(str::to_owned)).collect()
        };
        assert_eq!(names(&pod["volumes"]), names(&pod["containers"][0]["volumeMounts"]), "{name}");
    }
}

#[test]
fn an_exit_code_that_says_for_good_fails_the_job_and_a_report_is_where_it_is_looked_for() {
    for (name, object) in all().into_iter().filter(|(_, object)| object["kind"] == "Job") {
        let rules = object.pointer("/spec/podFailurePolicy/rules").unwrap();
        assert_eq!(
            rules[0],
            json!({"action": "FailJob", "onExitCodes": {"containerName": "engine", "operator": "In", "values": [2]}}),
            "{name}"
        );
        let container = object.pointer("/spec/template/spec/containers/0").unwrap();
        let arguments: Vec<&str> = container["args"].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        let report = arguments.windows(2).find(|pair| pair[0] == "--report").unwrap()[1];
        assert_eq!(container["terminationMessagePath"], report, "{name}");
    }
}

#[test]
fn selectors_select_the_pods_of_their_own_object() {
    for (name, object) in all().into_iter().filter(|(_, object)| object["kind"] == "Deployment") {
        let wanted = object.pointer("/spec/selector/matchLabels").unwrap().as_object().unwrap();
        let labels = object.pointer("/spec/template/metadata/labels").unwrap();
        assert!(wanted.iter().all(|(key, value)| labels[key] == *value), "{name}");
    }
}

#[test]
fn a_namespace_is_told_of_its_own_connections_only() {
    let platform = PlatformFile::parse("platform.yaml", PLATFORM).unwrap();
    let (map, secrets) = connections(&platform, "movies");
    let text = map["data"]["platform.yaml"].as_str().unwrap();
    assert!(!text.contains("theirs") && !text.contains("playback"), "{text}");
    assert_eq!(secrets, ["kafka-auth", "kafka-ca", "lake", "registry-auth", "registry-ca"]);
    let again = PlatformFile::parse("platform.yaml", text).unwrap();
    assert!(again.connections["main"].admits("movies"));
    // Tress's own connections are there for its own use, where definitions may not name them.
    let (map, _) = connections(&platform, "ranking");
    let elsewhere = PlatformFile::parse("platform.yaml", map["data"]["platform.yaml"].as_str().unwrap()).unwrap();
    assert!(!elsewhere.connections["main"].admits("ranking") && elsewhere.connections["lake"].admits("ranking"));
}
