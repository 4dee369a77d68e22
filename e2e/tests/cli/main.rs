//! `tress` against a real API server: what it reads there, what it writes, what it says when it may not. Nothing acts on what is stored:
//! the tests write what an operator would write.

#![expect(clippy::unwrap_used, reason = "helpers of tests: what cannot be had fails the test")]

#[path = "../kinds/objects.rs"]
mod objects;
mod operator;
#[path = "../kinds/server.rs"]
mod server;
mod tool;

use std::time::Duration;

use serde_json::{Value, json};

use objects::{backfill, feature, rollout, sequence_revision, signal, signal_revision};
use operator::{SINCE, condition, ready, write_status};
use server::Server;
use tool::Tool;

/// A namespace with one of each kind, and a tool that is called for it.
fn namespace(name: &str) -> (&'static Server, Tool) {
    let server = Server::shared();
    server.namespace(name);
    for object in [signal(), feature(), signal_revision(), sequence_revision(), rollout()] {
        server.create(name, &object).succeeded();
    }
    (server, Tool::new(server, name))
}

fn all_is_well(server: &Server, namespace: &str) {
    let conditions = ready("AsDeclared", "");
    let live = json!({"revision": "recent-movies-abcdefghij", "epoch": 3, "since": SINCE});
    let target = json!({"revision": "recent-movies-abcdefghij", "since": SINCE});
    write_status(
        server,
        namespace,
        &feature(),
        json!({"conditions": conditions, "live": live, "target": target, "endpoint": format!("tress-default.{namespace}.svc:7400")}),
    );
    write_status(server, namespace, &signal(), json!({"conditions": conditions, "revision": "rating-abcdefghij"}));
    write_status(server, namespace, &signal_revision(), json!({"conditions": conditions, "use": "Running"}));
    write_status(server, namespace, &sequence_revision(), json!({"conditions": conditions, "use": "Running"}));
    write_status(server, namespace, &rollout(), json!({"phase": "Succeeded", "since": SINCE}));
}

#[test]
fn status_says_by_its_exit_code_whether_all_is_ready() {
    let (server, tool) = namespace("cli-status");
    let ended = tool.run(&["status"]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.out.contains("feature cli-status/recent-movies  unknown NotObserved"), "{}", ended.out);
    assert!(ended.out.contains("the operator has not looked at it yet") && ended.out.contains("0 of 2 are ready"), "{}", ended.out);

    all_is_well(server, "cli-status");
    let ended = tool.run(&["status"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("├─ live recent-movies-abcdefghij  ready") && ended.out.ends_with("\nall 2 are ready\n"), "{}", ended.out);
    let told: Value = serde_json::from_str(&tool.run(&["status", "signal/rating", "-o", "json"]).out).unwrap();
    assert_eq!((told["ready"].clone(), told["items"][0]["name"].clone()), (json!(true), json!("rating")));
    let everywhere = Tool::without_namespace(server).run(&["status", "-A"]);
    assert!(everywhere.out.contains("feature cli-status/recent-movies  ready"), "{}", everywhere.out);
    let missing = tool.run(&["status", "signal/ratng"]);
    assert_eq!((missing.code, missing.err.trim()), (Some(2), "error: there is no signal \"ratng\" here; there are rating"));
}

#[test]
fn status_goes_on_as_objects_change() {
    let (server, tool) = namespace("cli-watch");
    let watching = tool.start(&["status", "--watch"]);
    watching.until(|out| out.contains("0 of 2 are ready"));
    all_is_well(server, "cli-watch");
    watching.until(|out| out.contains("all 2 are ready"));
}

#[test]
fn kubectl_finds_the_plugin_which_means_the_present_context() {
    let (server, tool) = namespace("cli-plugin");
    all_is_well(server, "cli-plugin");
    let ended = tool.by_kubectl(server, &["tress", "status", "-n", "cli-plugin"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.ends_with("\nall 2 are ready\n"), "{}", ended.out);
    let completed = tool.by_kubectl(server, &["__complete", "tress", "stat"]);
    assert!(completed.out.starts_with("status\t"), "{completed:?}");
}

#[test]
fn a_backfill_is_made_for_the_present_revision_and_waited_for() {
    let (server, tool) = namespace("cli-backfill");
    let early = tool.run(&["backfill", "rating"]);
    assert_eq!(early.code, Some(1));
    assert!(early.err.contains("signal cli-backfill/rating has no revision yet"), "{}", early.err);
    all_is_well(server, "cli-backfill");

    let waiting = tool.start(&["backfill", "rating", "--restate", "2024-01-31", "--parallelism", "8", "--wait"]);
    let made = server.until("cli-backfill", "backfill", |all| all.first().cloned());
    assert_eq!(made["spec"], json!({"revision": "rating-abcdefghij", "mode": {"restate": {"buckets": ["2024-01-31"]}}, "parallelism": 8}));
    assert_eq!(made["metadata"]["ownerReferences"][0]["name"], "rating-abcdefghij");
    write_status(server, "cli-backfill", &made, json!({"phase": "Working", "tasks": 4, "workers": 4, "done": 1}));
    let done =
        json!({"phase": "Succeeded", "number": 3, "tasks": 4, "workers": 4, "done": 4, "rawEvents": 120_000, "rows": 99_000, "dead": 1});
    write_status(server, "cli-backfill", &made, done);
    let ended = waiting.ended();
    assert_eq!(
        (ended.code, ended.out.trim()),
        (Some(0), "backfill 3 of rating-abcdefghij: 120,000 raw events, 99,000 rows, 1 dead letters")
    );
    server.kubectl(&["delete", "backfill", "--all", "-n", "cli-backfill"], None).succeeded();

    let waiting = tool.start(&["backfill", "rating", "--wait", "-o", "json"]);
    let made = server.until("cli-backfill", "backfill", |all| all.first().cloned());
    assert_eq!(made["spec"]["mode"], json!({"incremental": {}}));
    let stalled = json!([condition("Stalled", "True", "JobFailed", "task 3: raw/x was rewritten")]);
    write_status(server, "cli-backfill", &made, json!({"phase": "Failed", "failed": ["3"], "conditions": stalled}));
    let ended = waiting.ended();
    let told: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!((ended.code, told["phase"].clone(), told["failed"].clone()), (Some(1), json!("Failed"), json!(["3"])));
    let shown = tool.run(&["status", &format!("backfill/{}", made["metadata"]["name"].as_str().unwrap())]);
    assert!(shown.code == Some(1) && shown.out.contains("task 3: raw/x was rewritten"), "{shown:?}");
    let refused = tool.run(&["backfill", "rating", "--abandon"]);
    assert!(refused.code == Some(2) && refused.err.contains("delete the Backfill"), "{refused:?}");
}

#[test]
fn an_intent_is_written_with_a_nonce_and_what_the_operator_makes_of_it_is_told() {
    let (server, tool) = namespace("cli-intent");
    write_status(server, "cli-intent", &rollout(), json!({"phase": "Loading", "since": SINCE}));
    let asking = tool.start(&["abort", "recent-movies", "--reason", "wrong filter", "--timeout", "60"]);
    let asked = server.until("cli-intent", "seqroll", |all| all.iter().find(|r| r["spec"]["intent"]["action"] == "Abort").cloned());
    assert_eq!(asked["spec"]["intent"]["reason"], "wrong filter");
    let nonce = asked["spec"]["intent"]["nonce"].as_str().unwrap();
    assert_eq!(nonce.len(), 16);
    write_status(server, "cli-intent", &rollout(), json!({"phase": "Aborting", "handled": nonce}));
    let ended = asking.ended();
    assert_eq!((ended.code, ended.out.trim()), (Some(0), "Abort is heeded: rollout/recent-movies-1 is in Aborting"));

    let unheeded = tool.run(&["pause", "rollout/recent-movies-1", "--timeout", "1"]);
    assert_eq!(unheeded.code, Some(1));
    assert!(unheeded.out.contains("Pause is asked of rollout/recent-movies-1; the operator has not heeded it in 1 s"), "{unheeded:?}");
    let there = server.get("cli-intent", &rollout());
    assert_eq!((there["spec"]["intent"]["action"].clone(), there["spec"]["intent"].get("reason")), (json!("Pause"), None));
    assert_ne!(there["spec"]["intent"]["nonce"], nonce);
    let shown = tool.run(&["status", "rollout/recent-movies-1"]);
    assert!(shown.out.contains("Pause is asked for and not heeded yet"), "{}", shown.out);
    for (words, action) in [(["retry", "feature/recent-movies"], "Retry"), (["resume", "rollout/recent-movies"], "Resume")] {
        let ended = tool.run(&[&words[..], &["--timeout", "0"]].concat());
        assert_eq!((ended.code, ended.out), (Some(0), format!("{action} is asked of rollout/recent-movies-1\n")));
        assert_eq!(server.get("cli-intent", &rollout())["spec"]["intent"]["action"], action);
    }
    let nobody = tool.run(&["abort", "another"]);
    assert!(nobody.code == Some(2) && nobody.err.contains("there is no rollout of \"another\""), "{nobody:?}");
}

#[test]
fn definitions_and_backfills_are_paused_and_become_again_what_they_were() {
    let (server, tool) = namespace("cli-pause");
    server.create("cli-pause", &backfill()).succeeded();
    for (word, object, field) in
        [("recent-movies", feature(), "paused"), ("signal/rating", signal(), "paused"), ("backfill/rating-again", backfill(), "suspend")]
    {
        let before = server.get("cli-pause", &object)["spec"].clone();
        let ended = tool.run(&["pause", word]);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(server.get("cli-pause", &object)["spec"][field], true, "{word}");
        assert_eq!(tool.run(&["resume", word]).code, Some(0));
        assert_eq!(server.get("cli-pause", &object)["spec"], before, "{word}");
    }
    let missing = tool.run(&["pause", "signal/none"]);
    assert!(missing.code == Some(2) && missing.err.contains("not found"), "{missing:?}");
}

#[test]
fn a_read_says_what_stands_in_its_way() {
    let (server, tool) = namespace("cli-get");
    let said = |words: &[&str]| {
        let ended = tool.run(words);
        (ended.code, ended.err.trim().trim_start_matches("error: ").to_owned())
    };
    let (code, why) = said(&["get", "recent-movis", "u1"]);
    assert_eq!((code, why.as_str()), (Some(2), "there is no feature \"recent-movis\" in namespace cli-get; there are recent-movies"));
    let (code, why) = said(&["get", "recent-movies", "u1"]);
    assert!(code == Some(1) && why.starts_with("nothing of feature cli-get/recent-movies is live yet"), "{why}");
    all_is_well(server, "cli-get");
    let (_, why) = said(&["get", "recent-movies", "u1"]);
    assert!(why.contains("look for the pods of service cli-get/tress-default") && why.contains("not found"), "{why}");
    for object in operator::pool("cli-get") {
        server.create("cli-get", &object).succeeded();
    }
    let (_, why) = said(&["get", "cli-get/recent-movies", "u1"]);
    assert!(why.starts_with("none of the 1 pods of service cli-get/tress-default is ready"), "{why}");
    operator::pod_is_ready(server, "cli-get");
    // There is no node behind it: the way ends at the API server.
    let (code, why) = said(&["get", "recent-movies", "u1"]);
    assert!(code == Some(1) && why.starts_with("reach port 7400 of pod cli-get/tress-default-1: "), "{why}");
    let shown = tool.run(&["status", "recent-movies"]);
    assert!(shown.out.contains("pod tress-default-1  ready"), "{}", shown.out);
    assert!(shown.out.contains("note: freshness and lag are not known of every pod: reach port 7401"), "{}", shown.out);
}

#[test]
fn who_may_not_is_told_what_to_ask_for() {
    let (server, _) = namespace("cli-rights");
    all_is_well(server, "cli-rights");
    for object in operator::pool("cli-rights") {
        server.create("cli-rights", &object).succeeded();
    }
    operator::pod_is_ready(server, "cli-rights");
    let nobody = Tool::of_account(server, "cli-rights", "nobody", &[]);
    let ended = nobody.run(&["status"]);
    assert_eq!(ended.code, Some(1));
    assert!(
        ended.err.contains("list sequencefeatures in namespace cli-rights: you may not")
            || ended.err.contains("in namespace cli-rights: you may not"),
        "{}",
        ended.err
    );
    let kinds: &[(&str, &str, &[&str])] = &[("tress.dev", "*", &["get", "list"])];
    let reader = Tool::of_account(server, "cli-rights", "reader", kinds);
    let ended = reader.run(&["status"]);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(ended.out.contains("note: pods are not shown: you may not list them in namespace cli-rights"), "{}", ended.out);
    let refused = reader.run(&["backfill", "rating"]);
    assert!(refused.code == Some(1) && refused.err.contains("make a backfill of signal cli-rights/rating: you may not"), "{refused:?}");
    let pods: &[(&str, &str, &[&str])] = &[("tress.dev", "*", &["get", "list"]), ("", "pods", &["list"]), ("", "services", &["get"])];
    let looker = Tool::of_account(server, "cli-rights", "looker", pods);
    let refused = looker.run(&["get", "recent-movies", "u1"]);
    assert!(refused.err.contains("cannot get resource \"pods/portforward\""), "{refused:?}");
}

#[test]
fn what_is_no_cluster_is_told_at_once() {
    let (server, tool) = namespace("cli-choice");
    let unknown = tool.run(&["status", "--context", "prod"]);
    assert!(unknown.code == Some(2) && unknown.err.contains("--context prod: the kubeconfig has no such context; it has "), "{unknown:?}");
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config");
    let mut config = server.kubectl(&["config", "view", "--raw", "-o", "json"], None).json();
    config["clusters"][0]["cluster"]["server"] = json!("https://127.0.0.1:1");
    std::fs::write(&path, config.to_string()).unwrap();
    let began = std::time::Instant::now();
    let nobody = Tool::with_kubeconfig(path.to_str().unwrap(), "x").run(&["status"]);
    assert!(nobody.code == Some(1) && nobody.err.contains("the cluster cannot be reached"), "{nobody:?}");
    assert!(began.elapsed() < Duration::from_secs(60), "it was tried again and again");
    let both = tool.run(&["status", "--dir", "x"]);
    assert!(both.code == Some(2) && both.err.contains("cannot be used with"), "{both:?}");
}

/// The job is one that the API server takes where the restricted standard is enforced; no pod of it starts here.
#[test]
fn dead_letters_are_asked_of_a_job_that_goes_with_whoever_asks() {
    let (server, tool) = namespace("cli-letters");
    all_is_well(server, "cli-letters");
    let nothing = tool.run(&["deadletters", "list", "--signal", "rating"]);
    assert!(nothing.code == Some(1) && nothing.err.contains("nothing of the engine runs in namespace cli-letters"), "{nothing:?}");
    let unnamed = tool.run(&["deadletters", "list"]);
    assert!(unnamed.code == Some(2) && unnamed.err.contains("--signal NAME"), "{unnamed:?}");
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../operator/golden/stream-deployment.yaml");
    let mut stream = server.kubectl(&["create", "--dry-run=client", "-o", "json", "-f", golden], None).json();
    stream["metadata"]["namespace"] = json!("cli-letters");
    server.create("cli-letters", &stream).succeeded();

    let asking = tool.start(&["deadletters", "list", "--signal", "rating", "--payload"]);
    let job = server.until("cli-letters", "job", |all| all.first().cloned());
    let (made, pattern) = (&job["spec"]["template"]["spec"], &stream["spec"]["template"]["spec"]);
    for same in ["serviceAccountName", "volumes", "securityContext"] {
        for (number, part) in pattern[same].as_array().into_iter().flatten().enumerate() {
            assert_eq!(made[same][number]["name"], part["name"], "{same}");
        }
    }
    assert_eq!(made["serviceAccountName"], pattern["serviceAccountName"]);
    assert_eq!(made["containers"][0]["image"], pattern["containers"][0]["image"]);
    let arguments: Vec<&str> = made["containers"][0]["args"].as_array().unwrap().iter().map(|a| a.as_str().unwrap()).collect();
    let uid = server.get("cli-letters", &signal_revision())["metadata"]["uid"].as_str().unwrap().to_owned();
    assert!(arguments.windows(3).any(|w| w == ["deadletters", "--uid", uid.as_str()]), "{arguments:?}");
    operator::engine_takes(&arguments);
    asking.interrupt();
    let ended = asking.ended();
    assert_eq!(ended.code, Some(1));
    server.until("cli-letters", "job", |all| all.is_empty().then_some(()));
}
