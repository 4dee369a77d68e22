//! The protocols over real sockets, on a real store.

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use serde_json::json;
use tokio_stream::StreamExt;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

use super::fixture::{APPLIED, FEATURE, NOW, Process, Running, name, plan};
use super::proto::sequence_service_client::SequenceServiceClient;
use super::*;
use crate::entity::Entity;
use crate::error::ErrorKind;
use crate::history::fixture::{event, rows};
use crate::read::{Order, Query};
use crate::store::ServedFeature;

fn entity(i: i64) -> Entity {
    Entity::String(format!("u{i}"))
}

/// What the engine itself reads, as replies have it.
async fn read(served: &Arc<ServedFeature>, query: Query) -> RecordBatch {
    let answer = served.read(&query).await.expect("an answer");
    let whole = plain(served.feature.schema());
    let schema = match &query.columns {
        Some(columns) => Arc::new(whole.project(columns).expect("columns of the schema")),
        None => whole,
    };
    decode_dictionaries(&schema, &answer.sequence.rows).expect("rows of the schema")
}

#[tokio::test]
async fn a_sequence_comes_over_grpc_as_the_engine_reads_it() {
    let running = Running::with_one_revision().await;
    let client = running.client().await;
    let served = running.process.revision(plan(&["item", "title"], 5));

    let whole = client.get(FEATURE, &entity(6), &Wanted::default()).await.expect("a reply");
    assert_eq!(whole.rows, read(&served, Query::new(entity(6), NOW)).await);
    assert_eq!(whole.rows.num_rows(), 5);
    let profile = &whole.profile;
    assert_eq!((profile.revision.as_str(), profile.epoch, profile.as_of), (served.digest.as_str(), 1, NOW));
    assert_eq!((profile.available, profile.oldest, profile.newest), (5, Some(1_006), Some(5_006)));
    assert_eq!(profile.least.applied_through, Some(APPLIED));
    assert_eq!((profile.completeness, profile.degraded.len()), (Completeness::Unknown, 0));

    let wanted = Wanted {
        columns: vec!["title".into(), "event_time".into()],
        limit: Some(2),
        order: Order::OldestFirst,
        since: Some(1_000),
        until: Some(4_006),
        signals: vec!["rating".into()],
        ..Wanted::default()
    };
    let part = client.get(FEATURE, &entity(6), &wanted).await.expect("a reply");
    let query = Query {
        columns: Some(vec![3, 0]),
        limit: Some(2),
        order: Order::OldestFirst,
        since: Some(1_000),
        until: Some(4_006),
        signals: Some(vec![0]),
        ..Query::new(entity(6), NOW)
    };
    assert_eq!(part.rows, read(&served, query).await);
    assert_eq!((part.profile.oldest, part.profile.newest), (Some(2_006), Some(3_006)));

    let earlier = client.get(FEATURE, &entity(6), &Wanted { as_of: Some(2_006), ..Wanted::default() }).await.expect("a reply");
    assert_eq!(earlier.profile.newest, Some(2_006));

    let nobody = client.get(FEATURE, &Entity::String("nobody".into()), &Wanted::default()).await.expect("an empty sequence");
    assert_eq!((nobody.rows.num_rows(), nobody.profile.available, nobody.profile.newest), (0, 0, None));
    running.stop().await;
}

#[tokio::test]
async fn a_batch_is_its_sequences_in_request_order() {
    let running = Running::with_one_revision().await;
    let client = running.client().await;
    let entities: Vec<Entity> = [6, 0, 3, 6, 12].map(entity).into();
    for wanted in [Wanted::default(), Wanted { columns: vec!["item".into()], limit: Some(2), ..Wanted::default() }] {
        let batch = client.batch(FEATURE, &entities, &wanted).await.expect("a reply");
        let mut available = 0;
        for (index, entity) in entities.iter().enumerate() {
            let single = client.get(FEATURE, entity, &wanted).await.expect("a reply");
            assert_eq!(batch.rows[index], single.rows);
            assert_eq!(batch.entities[index], single.profile.of_entity());
            available += single.profile.available;
        }
        assert_eq!(batch.profile.available, available);
        assert_eq!(batch.profile.least.applied_through, Some(APPLIED));
    }
    running.stop().await;
}

#[tokio::test]
async fn arrow_ipc_has_the_same_rows_as_columns() {
    let running = Running::with_one_revision().await;
    let columns = running.client().await.get(FEATURE, &entity(6), &Wanted::default()).await.expect("a reply");
    let mut service = SequenceServiceClient::new(running.channel().await);
    let request = proto::GetSequenceRequest {
        feature: FEATURE.into(),
        entity: Some(proto::Entity { key: Some(proto::entity::Key::Text("u6".into())) }),
        read: Some(proto::Read { encoding: proto::Encoding::ArrowIpc.into(), ..proto::Read::default() }),
    };
    let reply = service.get_sequence(request).await.expect("a reply").into_inner();
    let Some(proto::sequence::Payload::ArrowIpc(bytes)) = reply.payload else { panic!("another encoding") };
    let mut stream = arrow::ipc::reader::StreamReader::try_new(bytes.as_ref(), None).expect("a stream");
    assert_eq!(stream.next().expect("a batch").expect("a batch that reads"), columns.rows);
    running.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_named_with_what_is_nearest() {
    let running = Running::with_one_revision().await;
    let client = running.client().await;
    let refused = async |feature: &str, wanted: Wanted| {
        let error = client.get(feature, &entity(1), &wanted).await.expect_err("a refusal");
        (error.kind(), error.to_string())
    };
    let columns = |name: &str| Wanted { columns: vec![name.into()], ..Wanted::default() };
    for (refusal, kind, says) in [
        (refused("movies/recnt", Wanted::default()).await, ErrorKind::NotFound, "did you mean movies/recent?"),
        (refused("recent", Wanted::default()).await, ErrorKind::Invalid, "write namespace/name"),
        (refused(FEATURE, columns("itme")).await, ErrorKind::Invalid, "columns: there is no column \"itme\"; did you mean item?"),
        (refused(FEATURE, Wanted { signals: vec!["ratings".into()], ..Wanted::default() }).await, ErrorKind::Invalid, "movies/rating"),
        (refused(FEATURE, Wanted { limit: Some(10_001), ..Wanted::default() }).await, ErrorKind::Invalid, "limit: "),
        (refused(FEATURE, Wanted { limit: Some(0), ..Wanted::default() }).await, ErrorKind::Invalid, "limit: "),
        (refused(FEATURE, Wanted { since: Some(5), until: Some(5), ..Wanted::default() }).await, ErrorKind::Invalid, "since: "),
        (refused(FEATURE, Wanted { choice: Choice::Trial, ..Wanted::default() }).await, ErrorKind::NotFound, "has no trial"),
        (refused(FEATURE, Wanted { choice: Choice::Digest("x".into()), ..Wanted::default() }).await, ErrorKind::NotFound, "revision: "),
        (refused(FEATURE, Wanted { consumer: "x".repeat(101), ..Wanted::default() }).await, ErrorKind::Invalid, "consumer: "),
    ] {
        assert_eq!(refusal.0, kind, "{}", refusal.1);
        assert!(refusal.1.contains(says), "{} does not say {says}", refusal.1);
    }
    let error = client.get(FEATURE, &Entity::Int64(77), &Wanted::default()).await.expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("set entity.text") && !error.to_string().contains("77"), "{error}");
    let many = vec![entity(1); 1_001];
    assert!(client.batch(FEATURE, &many, &Wanted::default()).await.expect_err("a refusal").to_string().contains("split the batch"));
    assert!(client.batch(FEATURE, &[], &Wanted::default()).await.is_err());

    // The field also stands in the metadata, for programs.
    let mut service = SequenceServiceClient::new(running.channel().await);
    let status =
        service.get_sequence(proto::GetSequenceRequest { feature: FEATURE.into(), ..Default::default() }).await.expect_err("a refusal");
    assert_eq!(status.code(), tonic::Code::InvalidArgument);
    assert_eq!(status.metadata().get("tress-field").and_then(|v| v.to_str().ok()), Some("entity"));
    running.stop().await;
}

#[tokio::test]
async fn a_revision_that_fails_answers_for_itself_only_and_may_come_and_go_while_others_serve() {
    let running = Running::with_one_revision().await;
    let client = running.client().await;
    let registry = &running.process.reader.registry;
    let other = tress_configs::name::QualifiedName::new("movies", "other");
    registry.failed(&other, "d1", "its changelog no longer reaches back");
    let by_digest = |digest: &str| Wanted { choice: Choice::Digest(digest.into()), ..Wanted::default() };
    let error = client.get("movies/other", &entity(1), &by_digest("d1")).await.expect_err("a refusal");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("its changelog no longer reaches back"), "{error}");
    client.get(FEATURE, &entity(1), &Wanted::default()).await.expect("the other goes on");

    let second = running.process.revision(plan(&["item"], 3));
    registry.loading(&name(), &second.digest);
    assert_eq!(client.get(FEATURE, &entity(6), &by_digest(&second.digest)).await.expect_err("loading").kind(), ErrorKind::Unavailable);
    registry.ready(second.clone(), About::default());
    let reply = client.get(FEATURE, &entity(6), &by_digest(&second.digest)).await.expect("a reply");
    assert_eq!((reply.rows.num_columns(), reply.rows.num_rows()), (3, 3));
    running.process.reader.unload(&name(), &second.digest);
    assert!(!running.get("/metrics").await.1.contains(&second.digest));
    assert_eq!(client.get(FEATURE, &entity(6), &by_digest(&second.digest)).await.expect_err("gone").kind(), ErrorKind::NotFound);
    client.get(FEATURE, &entity(6), &Wanted::default()).await.expect("the live one goes on");
    running.stop().await;
}

#[tokio::test]
async fn a_canary_answers_for_its_share_and_a_batch_keeps_one_set_of_columns() {
    let process = Process::start(Budgets::default()).await;
    let live = process.load(plan(&["item", "title"], 5));
    let trial = process.load(plan(&["item", "title", "genres"], 2));
    process.route(Some(&live), Some((&trial, 3_000)), 4).await;
    let route = process.reader.routes.current().get(&name()).cloned().expect("a route");
    let running = process.listen(|_| ()).await;
    let client = running.client().await;

    let entities: Vec<Entity> = (0..100).map(entity).collect();
    let mut on_trial = 0;
    for entity in &entities {
        let reply = client.get(FEATURE, entity, &Wanted::default()).await.expect("a reply");
        let expected = if matches!(route.choose(entity.hash()), super::route::Chosen::Trial(_)) { &trial } else { &live };
        assert_eq!((&reply.profile.revision, reply.profile.epoch), (expected, 4));
        on_trial += usize::from(*expected == trial);
    }
    assert!((10..60).contains(&on_trial), "{on_trial} of 100 at 3,000 basis points");

    // The trial has a column more: the batch has the live one's, and says who answered.
    let all = client.batch(FEATURE, &entities, &Wanted::default()).await.expect("a reply");
    assert_eq!(all.rows[0].num_columns(), 4);
    assert!(all.entities.iter().all(|e| e.revision == live));
    // Of columns that both have, each gives its own.
    let both = Wanted { columns: vec!["item".into()], ..Wanted::default() };
    let shared = client.batch(FEATURE, &entities, &both).await.expect("a reply");
    assert_eq!(shared.entities.iter().filter(|e| e.revision == trial).count(), on_trial);
    for (rows, profile) in shared.rows.iter().zip(&shared.entities) {
        assert!(rows.num_rows() <= if profile.revision == trial { 2 } else { 5 });
    }

    // A trial that is not here costs no reader an answer; who asks for it by name is told.
    running.process.reader.registry.failed(&name(), &trial, "no room");
    let replies = client.batch(FEATURE, &entities, &Wanted::default()).await.expect("a reply");
    assert!(replies.entities.iter().all(|e| e.revision == live));
    assert_eq!(replies.profile.degraded, [Degradation::TrialUnavailable]);
    let named = Wanted { choice: Choice::Trial, ..Wanted::default() };
    assert_eq!(client.get(FEATURE, &entity(1), &named).await.expect_err("failed").kind(), ErrorKind::Unavailable);

    // Cutover in process.
    running.process.load(plan(&["item", "title", "genres"], 2));
    running.process.route(Some(&trial), None, 5).await;
    let after = client.get(FEATURE, &entity(6), &Wanted::default()).await.expect("a reply");
    assert_eq!((after.profile.revision, after.profile.epoch, after.rows.num_columns()), (trial, 5, 5));
    running.stop().await;
}

#[tokio::test]
async fn too_much_at_once_is_refused_and_reads_of_history_have_their_own_budget() {
    let process = Process::start(Budgets { reply_bytes: 64 << 10, history_bytes: 0 }).await;
    let live = process.load(plan(&["item", "title"], 5));
    process.route(Some(&live), None, 1).await;
    let running = process.listen(|_| ()).await;
    let client = running.client().await;
    client.get(FEATURE, &entity(6), &Wanted::default()).await.expect("a small read fits");
    let large = Wanted { limit: Some(10_000), ..Wanted::default() };
    let error = client.get(FEATURE, &entity(6), &large).await.expect_err("too large");
    assert_eq!(error.kind(), ErrorKind::Full);
    let known = Wanted { known_by: Some(NOW), ..Wanted::default() };
    let error = client.get(FEATURE, &entity(6), &known).await.expect_err("no budget for history");
    assert!(error.kind() == ErrorKind::Full && error.to_string().contains("history"), "{error}");
    client.get(FEATURE, &entity(6), &Wanted::default()).await.expect("budgets are given back");
    let (_, metrics) = running.get("/metrics").await;
    assert!(metrics.contains(&format!("tress_feature_shed_reads_total{{feature=\"{FEATURE}\",revision=\"{live}\"}} 2")), "{metrics}");
    running.stop().await;
}

#[tokio::test]
async fn a_read_as_known_earlier_is_answered_from_history_and_says_so() {
    let running = Running::with_one_revision().await;
    // A later version of an event that was known.
    let mut later = event("u6", 5_006, 65);
    later.version = 9_000;
    later.available = NOW - 1;
    later.deleted = true;
    let shard = crate::entity::shard_of(entity(6).hash(), running.process.store.plan().shards) as usize;
    running.process.store.shards()[shard].append(rows(&[later]), 2).expect("rows");
    let client = running.client().await;
    let now = client.get(FEATURE, &entity(6), &Wanted::default()).await.expect("a reply");
    assert_eq!((now.profile.newest, now.profile.deep), (Some(4_006), false));
    let known = Wanted { known_by: Some(6_000), ..Wanted::default() };
    let earlier = client.get(FEATURE, &entity(6), &known).await.expect("a reply");
    assert_eq!((earlier.profile.newest, earlier.profile.deep, earlier.profile.known_by), (Some(5_006), true, Some(6_000)));
    running.stop().await;
}

#[tokio::test]
async fn a_read_of_history_that_takes_too_long_is_cut_in_both_protocols_and_harms_no_other() {
    let process = Process::start(Budgets { history_bytes: 3 << 20, ..Budgets::default() }).await;
    let live = process.load(plan(&["item", "title"], 5));
    process.route(Some(&live), None, 1).await;
    process.seal().await;
    let running = process.listen(|settings| settings.timeout = Duration::from_millis(500)).await;
    let client = running.client().await;
    let known = Wanted { known_by: Some(NOW), ..Wanted::default() };
    let reply = client.get(FEATURE, &entity(6), &known).await.expect("in time");
    assert_eq!((reply.profile.available, reply.profile.deep, reply.profile.completeness), (5, true, Completeness::Complete));

    running.process.slow_lake(Duration::from_secs(3_600));
    let error = client.get(FEATURE, &entity(6), &known).await.expect_err("too late");
    assert!(error.kind() == ErrorKind::Unavailable && error.to_string().contains("took too long"), "{error}");
    let (status, body) = running.json("/v1/sequences/movies/recent/u6?available_at=1000000000").await;
    assert_eq!((status, body["error"]["code"].as_str()), (504, Some("DEADLINE_EXCEEDED")));
    // Two wait, the third finds no room; reads of memory pass all the same.
    let (six, five, four) = (entity(6), entity(5), entity(4));
    let (first, second, third) =
        tokio::join!(client.get(FEATURE, &six, &known), client.get(FEATURE, &five, &known), client.get(FEATURE, &four, &known));
    let kinds: Vec<ErrorKind> = [first, second, third].into_iter().map(|r| r.expect_err("refused").kind()).collect();
    assert_eq!(kinds.iter().filter(|kind| **kind == ErrorKind::Full).count(), 1, "{kinds:?}");
    client.get(FEATURE, &entity(6), &Wanted::default()).await.expect("memory answers");
    running.process.slow_lake(Duration::ZERO);
    client.get(FEATURE, &entity(6), &known).await.expect("what was cut has given back its budget");
    running.stop().await;
}

#[tokio::test]
async fn what_is_under_way_when_a_server_goes_away_is_answered() {
    let process = Process::start(Budgets::default()).await;
    let live = process.load(plan(&["item", "title"], 5));
    process.route(Some(&live), None, 1).await;
    process.seal().await;
    let running = process.listen(|_| ()).await;
    let client = running.client().await;
    let known = Wanted { known_by: Some(NOW), ..Wanted::default() };
    client.get(FEATURE, &entity(6), &known).await.expect("a reply");
    running.process.slow_lake(Duration::from_millis(200));
    let (six, shutdown) = (entity(6), running.shutdown.clone());
    let (reply, ()) = tokio::join!(client.get(FEATURE, &six, &known), async {
        // Until the read waits for the lake.
        while running.process.reader.admission.history_in_use() == 0 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        shutdown.cancel();
    });
    assert_eq!(reply.expect("a reply").profile.available, 5);
    running.stop().await;
}

#[tokio::test]
async fn a_stale_source_is_told_and_never_makes_the_process_unready() {
    let running = Running::with_one_revision().await;
    let client = running.client().await;
    assert_eq!(running.get("/readyz").await.0, 200);
    running.process.clock.set(APPLIED + 10_000_001);
    let reply = client.get(FEATURE, &entity(6), &Wanted::default()).await.expect("a reply");
    assert_eq!(reply.profile.degraded, [Degradation::Stale]);
    running.process.reader.registry.loading(&name(), &reply.profile.revision);
    assert_eq!(running.get("/readyz").await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn people_read_json() {
    let running = Running::with_one_revision().await;
    let (status, reply) = running.json("/v1/sequences/movies/recent/u3?columns=event_time,item,title&limit=2&order=oldest_first").await;
    assert_eq!(status, 200);
    assert_eq!(
        reply["rows"],
        json!([
            {"event_time": "1970-01-01T00:00:00.001003Z", "item": 31, "title": "title 31"},
            {"event_time": "1970-01-01T00:00:00.002003Z", "item": 32, "title": "title 32"},
        ])
    );
    assert_eq!(reply["profile"]["appliedThrough"], "1970-01-01T00:16:35Z");
    assert_eq!(reply["profile"]["available"], 2);
    let (_, earlier) = running.json("/v1/sequences/movies/recent/u3?as_of=1970-01-01T00:00:00.001003Z&signals=movies%2Frating").await;
    assert_eq!(earlier["profile"]["available"], 2);

    let (status, error) = running.json("/v1/sequences/movies/recent/u3?colums=item").await;
    assert_eq!(status, 400);
    assert_eq!(
        error,
        json!({"error": {"code": "INVALID_ARGUMENT", "field": "query", "message": "there is no parameter \"colums\"", "help": "did you mean columns?"}})
    );
    for (path, status) in [
        ("/v1/sequences/movies/nothing/u3", 404),
        ("/v1/sequences/movies/recent/u3?limit=many", 400),
        ("/v1/sequences/movies/recent/u3?limit=1&limit=2", 400),
        ("/v1/sequences/movies/recent/u3?as_of=yesterday", 400),
        ("/v1/sequences/movies/recent/u3?order=newest", 400),
        ("/v1/sequences/movies/recent/u3?revision=trial", 404),
        ("/v1/sequences/movies/recent/%ff", 400),
        ("/v1/features/movies/recent?x=1", 400),
        ("/secret-entity", 404),
    ] {
        let (found, body) = running.json(path).await;
        assert_eq!(found, status, "{path}: {body}");
        assert!(body["error"]["message"].is_string() && !body.to_string().contains("secret-entity"), "{path}: {body}");
    }
    assert_eq!(running.get("/healthz").await, (200, "ok\n".to_owned()));
    running.stop().await;
}

#[tokio::test]
async fn a_feature_describes_itself_in_both_protocols() {
    let running = Running::with_one_revision().await;
    let described = running.client().await.describe(FEATURE, None).await.expect("a description");
    let columns: Vec<(&str, &str)> = described.columns.iter().map(|c| (c.name.as_str(), c.r#type.as_str())).collect();
    assert_eq!(columns[2..], [("item", "int64"), ("title", "string")]);
    assert_eq!(described.columns[2].meaning, "item of movies/rating (raw field)");
    assert_eq!(described.contract.and_then(|c| c.freshness_p99_ms), Some(10_000));
    assert_eq!((described.length, described.signals.as_slice()), (5, &["movies/rating".to_owned()][..]));

    let (_, json) = running.json("/v1/features/movies/recent").await;
    assert_eq!(json["schemaDigest"], described.schema_digest);
    assert_eq!(json["contract"]["freshnessP99"], "10s");
    assert_eq!(json["revisions"], json!([{"digest": described.revision, "role": "live", "state": "ready"}]));
    let (_, list) = running.json("/v1/features").await;
    assert_eq!(list["features"][0]["feature"], FEATURE);
    assert_eq!(list["features"][0]["revisions"][0]["appliedThrough"], "1970-01-01T00:16:35Z");
    assert!(list["now"].as_str().is_some_and(|now| now > "1970-01-01T00:16:35Z"), "{list}");
    running.stop().await;
}

#[tokio::test]
async fn a_process_is_ready_when_what_is_routed_is_loaded_and_health_says_the_same() {
    let process = Process::start(Budgets::default()).await;
    let running = process.listen(|_| ()).await;
    let mut health = HealthClient::new(running.channel().await);
    let service = || HealthCheckRequest { service: "tress.v1.SequenceService".into() };
    assert_eq!(running.get("/readyz").await, (503, "no routes have been read yet\n".to_owned()));
    running.process.route(Some("d1"), None, 1).await;
    assert_eq!(running.get("/readyz").await, (503, "loading movies/recent\n".to_owned()));
    assert_eq!(health.check(service()).await.expect("a reply").into_inner().status(), ServingStatus::NotServing);
    let mut watch = health.watch(service()).await.expect("a stream").into_inner();
    // A reason of its own does not keep the others from being served.
    running.process.reader.registry.failed(&name(), "d1", "no such history");
    let mut status = ServingStatus::Unknown;
    while status != ServingStatus::Serving {
        status = watch.next().await.expect("news").expect("a status").status();
    }
    assert_eq!(running.get("/readyz").await.0, 200);
    running.stop().await;
}

#[tokio::test]
async fn reflection_names_the_service() {
    let running = Running::with_one_revision().await;
    let mut reflection = ServerReflectionClient::new(running.channel().await);
    let request = ServerReflectionRequest { host: String::new(), message_request: Some(MessageRequest::ListServices(String::new())) };
    let mut replies = reflection.server_reflection_info(tokio_stream::iter([request])).await.expect("a stream").into_inner();
    let reply = replies.next().await.expect("a reply").expect("services").message_response;
    let Some(MessageResponse::ListServicesResponse(list)) = reply else { panic!("another reply") };
    assert!(list.service.iter().any(|s| s.name == "tress.v1.SequenceService"));
    running.stop().await;
}

#[tokio::test]
async fn a_request_larger_than_the_bound_is_refused() {
    let process = Process::start(Budgets::default()).await;
    let live = process.load(plan(&["item"], 5));
    process.route(Some(&live), None, 1).await;
    let running = process.listen(|settings| settings.max_request_bytes = 1_000).await;
    let client = running.client().await;
    let large = Wanted { columns: vec!["item".into(); 500], ..Wanted::default() };
    client.get(FEATURE, &entity(1), &large).await.expect_err("too large");
    client.get(FEATURE, &entity(1), &Wanted::default()).await.expect("the connection goes on");
    running.stop().await;
}

#[tokio::test]
async fn a_server_that_goes_away_says_so_answers_on_and_then_ends_although_callers_stay_connected() {
    let process = Process::start(Budgets::default()).await;
    let live = process.load(plan(&["item"], 5));
    process.route(Some(&live), None, 1).await;
    let running = process.listen(|settings| settings.drain_delay = Duration::from_millis(300)).await;
    let client = running.client().await;
    client.get(FEATURE, &entity(1), &Wanted::default()).await.expect("a reply");
    running.shutdown.cancel();
    while running.get("/readyz").await.0 == 200 {
        tokio::task::yield_now().await;
    }
    assert_eq!(running.get("/readyz").await, (503, "draining\n".to_owned()));
    client.get(FEATURE, &entity(1), &Wanted::default()).await.expect("calls are still answered");
    let addresses = running.addresses;
    tokio::time::timeout(Duration::from_secs(10), running.task).await.expect("it ends").expect("no panic").expect("a clean end");
    assert!(tokio::net::TcpStream::connect(addresses.grpc).await.is_err());
    assert_eq!(client.get(FEATURE, &entity(1), &Wanted::default()).await.expect_err("gone").kind(), ErrorKind::Unavailable);
}

#[tokio::test]
async fn an_address_in_use_is_named() {
    let running = Running::with_one_revision().await;
    let settings = Settings { grpc: running.addresses.grpc, ..Settings::default() };
    let error = Server::bind(settings, running.process.reader.clone()).await.expect_err("in use");
    assert!(error.to_string().contains(&running.addresses.grpc.to_string()), "{error}");
    running.stop().await;
}

#[tokio::test]
async fn a_read_that_panics_is_an_error_of_that_read() {
    let panics = async { if true { panic!("a mistake") } else { Ok(()) } };
    let refusal = super::reader::within(Duration::from_secs(1), panics).await.expect_err("it panicked");
    assert_eq!(refusal.code, Code::Internal);
    assert!(!refusal.to_string().contains("a mistake"));
}
