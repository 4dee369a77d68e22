use super::*;

fn pinned(uid: &str) -> Pinned {
    Pinned { uid: uid.to_owned(), digest: format!("digest-{uid}") }
}

fn read(text: &str) -> RouteFile {
    RouteFile::from_json(text.as_bytes()).unwrap()
}

#[test]
fn a_file_reads_back_as_it_was_written() {
    let full = Route {
        feature_uid: Some("f".to_owned()),
        live: Some(pinned("a")),
        trial: Some(pinned("b")),
        loaded: vec![pinned("c"), pinned("a")],
        weight_bp: 250,
        epoch: 7,
        attempt: Some(3),
        contract: serde_json::from_str(r#"{"freshness": {"p99": "10s"}, "completeWithin": "1d"}"#).unwrap(),
        about: Some(Words { description: "What was read.".to_owned(), owners: vec!["team@example.com".to_owned()] }),
    };
    let bare = Route { epoch: 1, ..Route::default() };
    let file = RouteFile { features: [("a/b".to_owned(), full.clone()), ("a/c".to_owned(), bare)].into(), ..RouteFile::default() };
    let text = concat!(
        r#"{"version":1,"features":{"a/b":{"featureUid":"f","live":{"uid":"a","digest":"digest-a"},"trial":{"uid":"b","digest":"digest-b"},"#,
        r#""loaded":[{"uid":"c","digest":"digest-c"},{"uid":"a","digest":"digest-a"}],"weightBp":250,"epoch":7,"attempt":3,"#,
        r#""contract":{"freshness":{"p99":"10s"},"completeWithin":"1d"},"about":{"description":"What was read.","owners":["team@example.com"]}},"a/c":{"weightBp":0,"epoch":1}}}"#
    );
    assert_eq!(serde_json::to_string(&file).unwrap(), text);
    assert_eq!(read(text), file);
    assert_eq!(full.revisions().map(|p| p.uid.as_str()).collect::<Vec<_>>(), ["a", "b", "c"], "each once");
}

#[test]
fn what_is_no_route_file_is_refused_with_its_field() {
    let refused = |text: &str| RouteFile::from_json(text.as_bytes()).unwrap_err().to_string();
    assert!(refused(r#"{"version":9,"features":{}}"#).contains("version"));
    assert!(refused(r#"{"version":1,"features":{"recent":{"epoch":1}}}"#).contains("namespace/name"));
    assert!(refused(r#"{"version":1,"features":{"a/b":{"epoch":1,"weightBp":5}}}"#).contains("weightBp"));
    assert!(refused(r#"{"version":1,"features":{"a/b":{"epoch":1,"weightBp":10001,"trial":{"uid":"u","digest":"d"}}}}"#).contains("10001"));
    assert!(refused(r#"{"version":1,"features":{"a/b":{"weightBp":0}}}"#).contains("epoch"));
    assert!(refused(r#"{"version":1,"features":{"a/b":{"epoch":-1}}}"#).contains("-1"));
    let text = r#"{"version":1,"features":{"a/b":{"live":{"uid":"u","digest":"d"},"weightBp":0,"epoch":4}}}"#;
    assert_eq!(read(text).features["a/b"].epoch, 4);
}

#[test]
fn what_a_newer_program_adds_is_passed_over() {
    let text = r#"{"version":1,"made":"later","features":{"a/b":{"live":{"uid":"u","digest":"d","size":1},"epoch":4,"colour":"red"}}}"#;
    let live = Some(Pinned { uid: "u".to_owned(), digest: "d".to_owned() });
    assert_eq!(read(text).features["a/b"], Route { live, epoch: 4, ..Route::default() });
}

#[test]
fn a_route_may_carry_what_its_feature_promises_as_the_definition_writes_it() {
    let bare = r#"{"version":1,"features":{"a/b":{"weightBp":0,"epoch":4}}}"#;
    let full = r#"{"version":1,"features":{"a/b":{"weightBp":0,"epoch":4,"contract":{"freshness":{"p99":"10s"},"completeWithin":"1d"}}}}"#;
    let empty = r#"{"version":1,"features":{"a/b":{"weightBp":0,"epoch":4,"contract":{}}}}"#;
    for text in [bare, full, empty] {
        assert_eq!(serde_json::to_string(&read(text)).unwrap(), text);
    }
    let contract = |text: &str| read(text).features["a/b"].contract.clone();
    assert_eq!(contract(bare), None, "not known");
    assert!(contract(empty).is_some_and(|c| c.freshness.is_none()), "known to promise nothing");
    assert!(read(bare).features["a/b"].reads_as(&read(full).features["a/b"]), "it decides nothing about rows");
    let wrong = full.replace("10s", "quickly");
    assert!(RouteFile::from_json(wrong.as_bytes()).unwrap_err().to_string().contains("duration"));
}

#[test]
fn before_anything_is_live_nothing_is_chosen_but_the_trials_share() {
    let early = Route { trial: Some(pinned("b")), epoch: 1, ..Route::default() };
    assert_eq!(early.choose(7), Chosen::Nothing);
    assert_eq!(early.revisions().collect::<Vec<_>>(), [&pinned("b")]);
}
