//! The roles as processes, over secure Kafka and S3: each step of a signal's life, stopped, repeated and refused.

use std::path::Path;

use tress_configs::job::{Facts, HistoryIs, Outcome, PlanIs, Report};
use tress_configs::{Plan, SignalPlan};
use tress_engine::clock::SystemClock;
use tress_engine::platform::Platform;
use tress_engine::{ErrorKind, history::History, layout};

use crate::broker::name;
use crate::engine::{Engine, free_address, get, until};
use crate::whole::{Cloud, event, items, mount, mount_in, plan};

/// A signal's plan as a file.
fn write_plan(folder: &Path, plan: &SignalPlan) -> String {
    let path = folder.join("plan.json");
    std::fs::write(&path, Plan::Signal(plan.clone()).canonical_json()).unwrap();
    path.display().to_string()
}

fn facts(report: Report) -> Facts {
    report.facts.unwrap_or_else(|| panic!("no facts: {:?} {:?}", report.outcome, report.reasons))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lives_from_prepare_to_drop_in_processes_of_their_own() {
    a_signal_lives(Cloud::S3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signal_lives_from_prepare_to_drop_on_a_lake_in_azure() {
    a_signal_lives(Cloud::Azure).await;
}

async fn a_signal_lives(cloud: Cloud) {
    let folder = tempfile::tempdir().unwrap();
    let (topic, uid) = (name("roles"), &name("roles"));
    let file = mount_in(folder.path(), &name("roles-lake"), cloud);
    let (platform, _) = Platform::open(&file, std::sync::Arc::new(SystemClock)).unwrap();
    let (engine, plan) = (Engine::new(&file, folder.path()), plan(&topic));
    let plan_file = write_plan(folder.path(), &plan);
    let log = platform.log("main").unwrap();
    log.create(&topic, 3).await.unwrap();
    let append = async |range: std::ops::Range<usize>| {
        for partition in 0..3 {
            let ours = range.clone().filter(|n| n % 3 == partition);
            log.append(&topic, i32::try_from(partition).unwrap(), ours.map(event).collect()).await.unwrap();
        }
    };
    append(0..3000).await;

    // Before it is prepared nothing runs, and nothing is made.
    let (code, report) = engine.job(&["stream", "--uid", uid]);
    assert_eq!((code, report.outcome), (2, Outcome::Failed));
    assert!(report.reasons[0].contains("prepare it first"), "{report:?}");

    let prepared = engine.done(&["prepare", "--plan", &plan_file, "--uid", uid]);
    assert_eq!(engine.done(&["prepare", "--plan", &plan_file, "--uid", uid]), prepared, "to prepare again changes nothing");
    let Facts::Prepared { partitions: Some(3), digest, .. } = facts(prepared) else { panic!("three partitions") };
    assert_eq!(digest, Plan::Signal(plan.as_ref().clone()).digest());

    // Streamed: killed in the middle, begun again, stopped in good order.
    let rows = async || items(platform.own_log().as_ref(), &layout::changelog(uid), &plan).await;
    let first = engine.start(&["stream", "--uid", uid]);
    until("the first rows", async || !rows().await.is_empty()).await;
    first.kill();
    append(3000..4500).await;
    let http = free_address().to_string();
    let mut second = engine.start(&["stream", "--uid", uid, "--http", &http]);
    let expected: Vec<i64> = (0..4500).filter(|n| n % 5 != 0).collect();
    let distinct = |mut rows: Vec<i64>| {
        rows.dedup();
        rows
    };
    until("every row", async || distinct(rows().await) == expected).await;
    until("the stream has caught up", async || get(http.parse().unwrap(), "/readyz").is_some_and(|(status, _)| status == 200)).await;
    let (_, metrics) = get(http.parse().unwrap(), "/metrics").unwrap();
    assert!(metrics.contains("tress_signal_rows_in_total{signal=\"movies/rating\"}"), "{metrics}");
    assert!(second.still_runs());
    assert_eq!(second.stop(), (0, Report::new(tress_configs::job::Role::Stream, Outcome::Stopped, None)));

    // Archived by two at once, of which one is killed; then folded step by step, each step twice.
    let archives = ["1", "1"].map(|interval| engine.start(&["archive", "--connection", "main", "--topic", &topic, "--interval", interval]));
    let table = tress_engine::archive::RawTable::new(platform.lake().clone(), "main", &topic, &log.id(&topic).await.unwrap().topic);
    until("the archive", async || table.snapshot(None).await.unwrap().is_some_and(|s| s.rows() == 4500)).await;
    let [one, other] = archives;
    one.kill();
    assert_eq!(other.stop().0, 0);
    let planned = facts(engine.done(&["backfill", "plan", "--uid", uid]));
    let Facts::Planned { backfill: 1, tasks, plan: PlanIs::Asked, .. } = planned else { panic!("{planned:?}") };
    assert!(tasks > 0);
    let again = facts(engine.done(&["backfill", "plan", "--uid", uid, "--restate", "all"]));
    let Facts::Planned { backfill: 1, plan: PlanIs::Unfinished, .. } = again else { panic!("{again:?}") };
    let (code, early) = engine.job(&["backfill", "seal", "--uid", uid, "--backfill", "1"]);
    assert_eq!((code, early.outcome), (2, Outcome::Failed), "tasks are missing: {early:?}");
    for index in ["0", "1", "1"] {
        engine.done(&["backfill", "tasks", "--uid", uid, "--backfill", "1", "--index", index, "--of", "2"]);
    }
    let sealed = facts(engine.done(&["backfill", "seal", "--uid", uid, "--backfill", "1"]));
    let Facts::Sealed { raw_events: 4500, rows: 3600, dead: 0, base: Some(base), .. } = sealed else { panic!("{sealed:?}") };
    let twice = facts(engine.done(&["backfill", "seal", "--uid", uid, "--backfill", "1"]));
    let Facts::Sealed { raw_events: 4500, base: Some(same), .. } = twice else { panic!("{twice:?}") };
    assert_eq!(same, base, "nothing is made twice");
    let tasks = engine.done(&["backfill", "tasks", "--uid", uid, "--backfill", "1"]);
    assert_eq!(tasks.outcome, Outcome::UpToDate);
    assert_eq!(engine.done(&["backfill", "plan", "--uid", uid]).outcome, Outcome::UpToDate);

    // History has what the stream has.
    let history = History::new(platform.lake().clone(), uid, std::sync::Arc::clone(&plan));
    let snapshot = history.snapshot().await.unwrap().expect("a history");
    assert_eq!(snapshot.rows(), 3600);
    let (code, report) = engine.job(&["backfill", "abandon", "--uid", uid]);
    assert_eq!(code, 2, "{report:?}");

    // Dropped: nothing is left, and to drop again is fine.
    let dropped = facts(engine.done(&["drop", "--uid", uid]));
    let Facts::Dropped { topics: 2, history: HistoryIs::Dropped, .. } = dropped else { panic!("{dropped:?}") };
    let own = platform.own_log();
    until("the topics are gone", async || own.id(&layout::changelog(uid)).await.is_err_and(|e| e.kind() == ErrorKind::NotFound)).await;
    assert!(history.snapshot().await.unwrap().is_none());
    assert_eq!(engine.done(&["drop", "--uid", uid]).outcome, Outcome::UpToDate);
    assert_eq!(log.ends(&topic).await.unwrap().iter().map(|e| e.end - e.start).sum::<i64>(), 4500, "raw events are not ours to drop");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_that_stays_folds_at_the_times_of_its_schedule_and_goes_when_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, uid) = (name("scheduled"), name("scheduled"));
    let file = mount(folder.path(), &name("scheduled-lake"));
    let (platform, _) = Platform::open(&file, std::sync::Arc::new(SystemClock)).unwrap();
    let (engine, plan) = (Engine::new(&file, folder.path()), plan(&topic));
    let log = platform.log("main").unwrap();
    log.create(&topic, 1).await.unwrap();
    log.append(&topic, 0, (0..500).map(event).collect()).await.unwrap();
    engine.done(&["prepare", "--plan", &write_plan(folder.path(), &plan), "--uid", &uid]);
    let run = ["backfill", "run", "--uid", &uid];
    let (code, refused) = engine.job(&[&run[..], &["--schedule", "15 3 * * *", "--time-zone", "Berlin"]].concat());
    assert!(code == 2 && refused.reasons[0].contains("Berlin"), "{refused:?}");
    let archive = engine.start(&["archive", "--connection", "main", "--topic", &topic, "--interval", "1"]);
    let http = free_address();
    let mut folding = engine.start(&[&run[..], &["--schedule", "* * * * *", "--http", &http.to_string()]].concat());
    let history = History::new(platform.lake().clone(), &uid, std::sync::Arc::clone(&plan));
    until("it is folded", async || history.snapshot().await.unwrap().is_some_and(|snapshot| snapshot.rows() == 400)).await;
    assert!(folding.still_runs());
    assert_eq!(get(http, "/readyz").map(|(status, _)| status), Some(200));
    assert_eq!(folding.stop(), (0, Report::new(tress_configs::job::Role::BackfillSeal, Outcome::Stopped, None)));
    assert_eq!(archive.stop().0, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_role_cannot_use_is_said_in_its_report_and_by_its_code() {
    let folder = tempfile::tempdir().unwrap();
    let file = mount(folder.path(), &name("refused"));
    let (engine, plan) = (Engine::new(&file, folder.path()), plan(&name("refused")));
    let plan_file = write_plan(folder.path(), &plan);
    let refused = |arguments: &[&str]| {
        let (code, report) = engine.job(arguments);
        assert_eq!((code, report.outcome), (2, Outcome::Failed), "{report:?}");
        report.reasons.join("; ")
    };
    let no_plan = folder.path().join("none.json").display().to_string();
    assert!(refused(&["prepare", "--plan", &no_plan, "--uid", "x"]).contains("none.json"));
    std::fs::write(&no_plan, "{\"kind\":\"signal\"}").unwrap();
    assert!(refused(&["prepare", "--plan", &no_plan, "--uid", "x"]).contains("read plan"));
    assert!(refused(&["prepare", "--plan", &plan_file, "--uid", "../x"]).contains("--uid"));
    // What is missing may come.
    let (code, report) = engine.job(&["prepare", "--plan", &plan_file, "--uid", "x"]);
    assert_eq!((code, report.outcome), (1, Outcome::FailedForNow), "{report:?}");
    let missing = report.reasons.join("; ");
    assert!(missing.contains("connection main has no topic") && missing.contains("make it, or name another"), "{missing}");
    assert!(refused(&["prepare", "--plan", &plan_file, "--uid", "x", "--signal", "y"]).contains("--signal"));
    assert!(refused(&["archive", "--connection", "mian", "--topic", "t"]).contains("did you mean main"));
    assert!(refused(&["archive", "--connection", "lake", "--topic", "t"]).contains("it is an object store"));
    assert!(refused(&["backfill", "run", "--uid", "nobody"]).contains("prepare it first"));

    // A platform file that cannot be used says where, and what to write.
    let text = std::fs::read_to_string(&file).unwrap();
    let broken = folder.path().join("broken.yaml");
    std::fs::write(&broken, text.replace("bootstrap:", "bootstraps:")).unwrap();
    let (code, report) = Engine::new(&broken, folder.path()).job(&["stream", "--uid", "x"]);
    assert_eq!(code, 2);
    assert!(report.reasons[0].contains("broken.yaml:") && report.reasons[0].contains("bootstrap"), "{report:?}");

    // Keys that are refused may be mended where they are kept.
    let key = folder.path().join("secrets/lake/secretAccessKey");
    let right = std::fs::read(&key).unwrap();
    std::fs::write(&key, "not-the-key").unwrap();
    let (code, report) = engine.job(&["prepare", "--plan", &plan_file, "--uid", "x"]);
    assert_eq!((code, report.outcome), (1, Outcome::FailedForNow), "{report:?}");
    assert!(report.reasons[0].contains("credentials secret"), "{report:?}");
    std::fs::write(&key, right).unwrap();

    // What does not answer may answer later.
    let gone = free_address().to_string();
    let away = folder.path().join("away.yaml");
    let endpoint = crate::server::Server::s3().tell("endpoint");
    std::fs::write(&away, text.replace(endpoint, &format!("http://{gone}"))).unwrap();
    let (code, report) = Engine::new(&away, folder.path()).job(&["stream", "--uid", "x"]);
    assert_eq!((code, report.outcome), (1, Outcome::FailedForNow), "{report:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_put_aside_is_told_and_replayed_by_a_process_that_logs_nothing_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let (topic, uid) = (name("letters"), "letters-1");
    let file = mount(folder.path(), &name("letters-lake"));
    let (platform, _) = Platform::open(&file, std::sync::Arc::new(SystemClock)).unwrap();
    let (engine, plan) = (Engine::new(&file, folder.path()), plan(&topic));
    let log = platform.log("main").unwrap();
    log.create(&topic, 1).await.unwrap();
    let secret = "{\"user\": \"whoever-it-is\", and no JSON";
    let bad = tress_engine::log::NewRecord { payload: secret.into(), ..Default::default() };
    log.append(&topic, 0, vec![bad.clone(), event(1), bad]).await.unwrap();
    engine.done(&["prepare", "--plan", &write_plan(folder.path(), &plan), "--uid", uid]);
    let stream = engine.start(&["stream", "--uid", uid]);
    until("the letters", async || {
        let own = platform.own_log();
        own.ends(&layout::dead_letters(uid)).await.is_ok_and(|ends| ends.first().is_some_and(|ends| ends.end == 2))
    })
    .await;

    let http = free_address();
    let telling = engine.start(&["deadletters", "--uid", uid, "--http", &http.to_string(), "--seconds", "60"]);
    until("the process that tells", async || get(http, "/v1/deadletters").is_some()).await;
    let json = |path: &str| -> (u16, serde_json::Value) {
        let (status, body) = get(http, path).unwrap();
        (status, serde_json::from_str(&body).unwrap_or_default())
    };
    let (status, all) = json("/v1/deadletters");
    assert_eq!((status, all.as_array().map(Vec::len), all[0]["reason"].as_str()), (200, Some(2), Some("Unreadable")), "{all}");
    assert!(!all.to_string().contains("whoever"), "{all}");
    let (_, one) = json("/v1/deadletters?from=1&to=1&payload=yes");
    assert_eq!((one.as_array().map(Vec::len), one[0]["payload"].as_str()), (Some(1), Some(secret)));
    assert_eq!(json("/v1/deadletters?frm=1").0, 400);
    let replayed = post(http, "/v1/deadletters/replay?from=1");
    assert!(replayed.starts_with("HTTP/1.1 200") && replayed.contains("\"appended\":1"), "{replayed}");
    // It is read again, and put aside again: as long as its cause is there.
    until("the replayed letter", async || json("/v1/deadletters").1.as_array().map(Vec::len) == Some(3)).await;
    let logged = telling.log();
    assert!(!logged.contains("whoever"), "{logged}");
    let (code, report) = telling.stop();
    assert_eq!((code, report), (0, Report::new(tress_configs::job::Role::DeadLetters, Outcome::Stopped, None)));
    stream.kill();
}

/// What comes back to a POST without a body.
fn post(address: std::net::SocketAddr, path: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "POST {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: 0\r\n\r\n").unwrap();
    let mut said = String::new();
    stream.read_to_string(&mut said).unwrap();
    said
}
