//! What is played here refuses and answers as the engine does.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, ExtendedKeyUsagePurpose, IsCa, KeyPair};
use tress_configs::Plan;
use tress_configs::job::{Demanded, Facts, Outcome, PlanIs};
use tress_configs::name::QualifiedName;
use tress_engine::pool::control::Client;
use tress_engine::serve::tls::Trust;
use tress_engine::serve::{Pinned, Route, RouteFile};

use super::lake::{Call, Lake, TASKS};
use super::serving::{CONTROL, Papers, Serving};
use crate::definitions::plans;
use crate::fate::{Fate, Mood};

fn run(lake: &mut Lake, words: &[&str], given: &[(&str, String)]) -> (Outcome, Option<Facts>) {
    let arguments: Vec<String> = ["--platform", "p", "--report", "r"].iter().chain(words).map(|w| (*w).to_owned()).collect();
    let given: BTreeMap<String, String> = given.iter().map(|(name, text)| ((*name).to_owned(), text.clone())).collect();
    let report = lake.run(&Call { arguments: &arguments, given: &given, job: "j", index: 0 });
    (report.outcome, report.facts)
}

#[test]
fn jobs_leave_what_the_next_one_needs_and_refuse_without_it() {
    let (signal, feature) = plans();
    let mut lake = Lake::default();
    let plan = |plan: &Plan| [("plan.json", plan.canonical_json())];
    let prepare = ["prepare", "--plan", "/etc/tress-given/plan.json", "--uid"];
    let prepare_feature = [&prepare[..], &["f", "--signal", "s"]].concat();
    assert_eq!(run(&mut lake, &prepare_feature, &plan(&feature)).0, Outcome::FailedForNow);
    assert_eq!(run(&mut lake, &["backfill", "plan", "--uid", "s"], &[]).0, Outcome::FailedForNow);
    lake.missing.insert("clicks".to_owned());
    let prepare_signal = [&prepare[..], &["s"]].concat();
    assert_eq!(run(&mut lake, &prepare_signal, &plan(&signal)).0, Outcome::FailedForNow);
    lake.missing.clear();
    let (outcome, facts) = run(&mut lake, &prepare_signal, &plan(&signal));
    assert!(outcome == Outcome::Succeeded && matches!(facts, Some(Facts::Prepared { partitions: Some(4), .. })), "{facts:?}");
    assert_eq!(run(&mut lake, &prepare_feature, &plan(&feature)).0, Outcome::Succeeded);
    assert_eq!(run(&mut lake, &prepare_signal, &plan(&feature)).0, Outcome::Failed, "another plan under the same UID");

    let planned = |lake: &mut Lake| match run(lake, &["backfill", "plan", "--uid", "s"], &[]).1 {
        Some(Facts::Planned { backfill, tasks, plan, .. }) => (backfill, tasks, plan),
        other => panic!("{other:?}"),
    };
    assert_eq!(planned(&mut lake), (1, TASKS, PlanIs::Asked));
    assert_eq!(planned(&mut lake), (1, TASKS, PlanIs::Unfinished));
    let demands = [("demands.json", serde_json::to_string(&Demanded::new(1, vec![feature.digest()])).unwrap())];
    let seal = ["backfill", "seal", "--uid", "s", "--backfill", "1", "--demands", "/etc/tress-given/demands.json"];
    assert_eq!(run(&mut lake, &seal, &demands).0, Outcome::FailedForNow, "tasks are not done");
    assert_eq!(run(&mut lake, &["backfill", "tasks", "--uid", "s", "--backfill", "2", "--of", "1"], &[]).0, Outcome::Failed);
    assert_eq!(run(&mut lake, &["backfill", "tasks", "--uid", "s", "--backfill", "1", "--of", "1"], &[]).0, Outcome::Succeeded);
    let sealed = run(&mut lake, &seal, &demands).1;
    assert!(matches!(&sealed, Some(Facts::Sealed { history_version: 1, base: Some(base), .. }) if base.demands == 1), "{sealed:?}");
    assert_eq!(run(&mut lake, &["backfill", "plan", "--uid", "s"], &[]).0, Outcome::UpToDate);
    assert_eq!(run(&mut lake, &["drop", "--uid", "s", "--history", "unless-pinned"], &[]).0, Outcome::Succeeded);
    assert_eq!(run(&mut lake, &["drop", "--uid", "s", "--history", "unless-pinned"], &[]).0, Outcome::UpToDate);
}

fn issued(authority: &CertifiedIssuer<'static, KeyPair>, usage: ExtendedKeyUsagePurpose) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["pool.test".to_owned()]).unwrap();
    params.extended_key_usages = vec![usage];
    (params.signed_by(&key, authority).unwrap().pem(), key.serialize_pem())
}

#[tokio::test]
async fn a_serving_pod_loads_what_it_is_told_and_tells_of_readers_that_would_find_nothing() {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let (certificate, key) = issued(&authority, ExtendedKeyUsagePurpose::ServerAuth);
    let papers = Papers { certificate, key, authorities: authority.pem() };
    let (signal, feature) = plans();
    let lake = Arc::new(Mutex::new(Lake::default()));
    let failed = Arc::new(Mutex::new(Vec::new()));
    let fate = Arc::new(Fate::new(1, Mood { slow: Duration::from_millis(1), ..Mood::CALM }));
    let mut serving = Serving::begin("pod", fate, Arc::clone(&lake), Arc::clone(&failed)).await;
    let address = Ipv4Addr::new(127, 63, 0, 1);
    serving.listen(address, &papers).await;
    let (certificate, key) = issued(&authority, ExtendedKeyUsagePurpose::ClientAuth);
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [("ca.crt", authority.pem()), ("tls.crt", certificate), ("tls.key", key)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let trust = Trust::of_folder(folder.path(), "pool.test").await.unwrap();
    let client = loop {
        match Client::connect(&format!("https://{address}:{CONTROL}"), Duration::from_secs(5), &trust).await {
            Ok(client) => break client,
            Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
        }
    };
    assert!(!client.status().await.unwrap().ready, "no route file is mounted");
    serving.pod.mount(&BTreeMap::new()).await;
    assert!(client.status().await.unwrap().ready, "an empty one is");

    let name = QualifiedName::new("n", "clicks");
    let pinned = |uid: &str| Pinned { uid: uid.to_owned(), digest: feature.digest() };
    let route = |live: Option<Pinned>, trial: Option<Pinned>, epoch| Route { live, trial, epoch, ..Route::default() };
    let push = async |route: Route| {
        let features = BTreeMap::from([(name.to_string(), route)]);
        client.set_route(&RouteFile { features, ..RouteFile::default() }).await.unwrap()
    };
    assert_eq!(push(route(None, Some(pinned("f")), 1)).await.changed, [name.to_string()]);
    let told = client.status().await.unwrap();
    assert!(!told.features[0].revisions[0].warm, "nothing is recorded: {told:?}");
    {
        let mut lake = lake.lock().unwrap();
        assert_eq!(
            run(&mut lake, &["prepare", "--plan", "plan.json", "--uid", "s"], &[("plan.json", signal.canonical_json())]).0,
            Outcome::Succeeded
        );
        let given = [("plan.json", feature.canonical_json())];
        assert_eq!(run(&mut lake, &["prepare", "--plan", "plan.json", "--uid", "f", "--signal", "s"], &given).0, Outcome::Succeeded);
    }
    loop {
        let told = client.status().await.unwrap();
        if told.features[0].revisions[0].warm {
            break;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    push(route(Some(pinned("f")), None, 2)).await;
    assert_eq!(push(route(None, None, 1)).await.refused.len(), 1, "a lower epoch");
    assert_eq!(*failed.lock().unwrap(), Vec::<String>::new());
    let unknown = Pinned { uid: "g".to_owned(), digest: "d".to_owned() };
    push(route(Some(unknown), None, 3)).await;
    assert_eq!(failed.lock().unwrap().len(), 1, "readers of what is live find nothing");
    serving.close().await;
}
