use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use object_store::memory::InMemory;
use object_store::{ObjectStoreExt, PutPayload};
use serde_json::{Value, json};
use url::Url;

use super::*;
use crate::layout;

fn lake() -> Lake {
    Lake::new(Arc::new(InMemory::new()), Url::parse("memory:///lake/").unwrap()).unwrap()
}

/// Schemas of a registry that is gone: only what was kept can be read.
pub(crate) async fn kept(texts: Vec<SchemaText>) -> Arc<Schemas> {
    let lake = lake();
    for text in texts {
        copies::keep(&lake, "gone", text).await.unwrap();
    }
    Arc::new(Schemas::kept("gone", lake))
}

/// A server that speaks the contract, and how often it was asked.
#[derive(Debug, Default)]
struct Server {
    asked: AtomicUsize,
    /// What it answers: by path, status and body.
    pages: BTreeMap<&'static str, (u16, String)>,
    password: Option<&'static str>,
}

impl Server {
    async fn start(pages: &[(&'static str, u16, Value)], password: Option<&'static str>) -> (Arc<Self>, Url) {
        let pages = pages.iter().map(|(path, status, body)| {
            let body = if let Value::String(text) = body { text.clone() } else { body.to_string() };
            (*path, (*status, body))
        });
        let server = Arc::new(Self { asked: AtomicUsize::new(0), pages: pages.collect(), password });
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = Url::parse(&format!("http://{}/base", listener.local_addr().unwrap())).unwrap();
        let router = Router::new().route("/base/{*path}", get(Self::answer)).with_state(Arc::clone(&server));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        (server, url)
    }

    async fn answer(State(server): State<Arc<Self>>, Path(path): Path<String>, headers: HeaderMap) -> (StatusCode, String) {
        server.asked.fetch_add(1, Ordering::SeqCst);
        // Whoever asks for the same meanwhile has to meet.
        tokio::time::sleep(Duration::from_millis(20)).await;
        if server.password.is_some_and(|p| headers.get("authorization").is_none_or(|given| given != p)) {
            return (StatusCode::UNAUTHORIZED, String::new());
        }
        let (status, body) = server.pages.get(path.as_str()).cloned().unwrap_or_else(|| (404, json!({"error_code": 40403}).to_string()));
        (StatusCode::from_u16(status).unwrap(), body)
    }

    fn asked(&self) -> usize {
        self.asked.load(Ordering::SeqCst)
    }
}

fn contract(url: &Url) -> Contract {
    Contract::open(Settings { url: url.clone(), password: None, authorities: None }).unwrap()
}

const INT: &str = r#"{"type":"record","name":"R","fields":[{"name":"f","type":"int"}]}"#;

#[tokio::test]
async fn a_schema_is_asked_for_once_by_however_many_and_then_comes_from_the_lake() {
    let (server, url) = Server::start(&[("schemas/ids/7", 200, json!({"schema": INT}))], None).await;
    let lake = lake();
    let schemas = Schemas::of(contract(&url), lake.clone());
    let all = futures::future::join_all((0..50).map(|_| schemas.by_id(7))).await;
    let expected = SchemaText { id: 7, language: Language::Avro, schema: INT.to_owned(), references: Vec::new() };
    for found in all {
        assert_eq!(found.unwrap(), Found::Schema(Arc::new(expected.clone())));
    }
    assert_eq!(server.asked(), 1);
    // Another process, without a registry.
    let later = Schemas::kept(schemas.identity(), lake);
    assert_eq!(later.by_id(7).await.unwrap(), Found::Schema(Arc::new(expected)));
    let error = later.by_id(8).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("no connection leads to it"), "{error}");
}

#[tokio::test]
async fn only_a_registry_can_say_that_there_is_no_schema() {
    let long = format!("{{\"schema\": \"{}\"}}", "x".repeat(MAX_SCHEMA_BYTES + 1));
    let pages = [
        ("schemas/ids/1", 404, json!({"error_code": 40403, "message": "Schema not found"})),
        ("schemas/ids/2", 404, json!("<html>no such page</html>")),
        ("schemas/ids/3", 404, json!({"error_code": 404})),
        ("schemas/ids/4", 500, json!({"error_code": 50001})),
        ("schemas/ids/5", 200, json!("<html>welcome</html>")),
        ("schemas/ids/6", 302, json!("")),
        ("schemas/ids/7", 200, json!(long)),
        ("schemas/ids/8", 200, json!("x".repeat(9 * MAX_SCHEMA_BYTES))),
        ("schemas/ids/9", 200, json!({"schema": "syntax = \"proto3\";", "schemaType": "PROTOBUF"})),
        ("schemas/ids/10", 200, json!({"schema": INT, "references": [{"name": "A", "subject": "gone", "version": 1}]})),
    ];
    let (_, url) = Server::start(&pages, None).await;
    let schemas = Schemas::of(contract(&url), lake());
    assert_eq!(schemas.by_id(1).await.unwrap(), Found::None);
    assert_eq!(Schemas::kept("gone", lake()).by_id(1 << 31).await.unwrap(), Found::None, "an id that no registry can have");
    for (id, told) in [
        (2, "no schema registry"),
        (3, "no schema registry"),
        (4, "HTTP status 500"),
        (5, "no answer of a schema registry"),
        (6, "elsewhere"),
        (10, "subject gone"),
    ] {
        let error = schemas.by_id(id).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(error.to_string().contains(told), "{error}");
    }
    for id in [7, 8] {
        let found = schemas.by_id(id).await.unwrap();
        assert!(matches!(&found, Found::Unusable(why) if why.contains("longer than")), "{found:?}");
    }
    assert!(matches!(schemas.by_id(9).await.unwrap(), Found::Schema(text) if text.language == Language::Other));
    let nobody = Schemas::of(contract(&Url::parse("http://127.0.0.1:1").unwrap()), lake());
    let error = nobody.by_id(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("does not answer"), "{error}");
}

#[tokio::test]
async fn references_come_before_what_refers_to_them_and_each_once() {
    let page = |schema: &str, references: &[&str]| {
        let references: Vec<Value> = references.iter().map(|r| json!({"name": r, "subject": r, "version": 1})).collect();
        json!({"schema": schema, "id": 1, "version": 1, "references": references})
    };
    let pages = [
        ("schemas/ids/1", 200, page("main", &["a", "b"])),
        ("subjects/a/versions/1", 200, page("A", &["c"])),
        ("subjects/b/versions/1", 200, page("B", &["c", "a"])),
        ("subjects/c/versions/1", 200, page("C", &[])),
    ];
    let (server, url) = Server::start(&pages, None).await;
    let Found::Schema(text) = Schemas::of(contract(&url), lake()).by_id(1).await.unwrap() else { panic!("it is there") };
    assert_eq!(text.schema, "main");
    let at = |name: &str| text.references.iter().position(|r| r == name).unwrap();
    assert!(text.references.len() == 3 && at("C") < at("A") && at("A") < at("B"), "{:?}", text.references);
    assert_eq!(server.asked(), 4);
}

#[tokio::test]
async fn what_was_fixed_never_changes_whatever_the_registry_says_later() {
    let version = |schema: &str| json!({"subject": "r value/1", "id": 7, "version": 3, "schema": schema});
    let (_, url) = Server::start(&[("subjects/r value/1/versions/latest", 200, version(INT))], None).await;
    let lake = lake();
    let schemas = Schemas::of(contract(&url), lake.clone());
    let (reader, text) = schemas.pin("r value/1", None).await.unwrap();
    assert_eq!((reader.version, reader.id, text.schema.as_str()), (3, 7, INT));
    let error = schemas.pin("other", Some(2)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("subject other, version 2: there is none"), "{error}");
    assert_eq!(Schemas::kept(&reader.registry, lake.clone()).pinned(&reader).await.unwrap().schema, INT);

    // Laid out otherwise, it is the same schema; with another type, it is a registry that counts anew.
    let same = serde_json::to_string_pretty(&serde_json::from_str::<Value>(INT).unwrap()).unwrap();
    for (schema, is_the_same) in [(same, true), (INT.replace("int", "long"), false)] {
        let (_, moved) = Server::start(&[("subjects/s/versions/1", 200, json!({"id": 7, "version": 1, "schema": schema}))], None).await;
        let schemas =
            Schemas { lake: lake.clone(), identity: reader.registry.clone(), contract: Some(contract(&moved)), memory: Memory::default() };
        match schemas.pin("s", Some(1)).await {
            Ok((_, text)) => assert!(is_the_same && text.schema == INT),
            Err(e) => assert!(!is_the_same && e.kind() == ErrorKind::Invalid && e.to_string().contains("made anew"), "{e}"),
        }
    }
    let elsewhere = ReaderSchema { registry: "other".into(), ..reader };
    assert_eq!(schemas.pinned(&elsewhere).await.unwrap_err().kind(), ErrorKind::Invalid);
}

#[tokio::test]
async fn a_copy_that_is_damaged_is_not_taken_for_a_schema() {
    let schemas = kept(vec![SchemaText { id: 7, language: Language::Avro, schema: INT.to_owned(), references: Vec::new() }]).await;
    let (path, store) = (layout::schema("gone", 7), Arc::clone(schemas.lake.store()));
    let whole = store.get(&path).await.unwrap().bytes().await.unwrap();
    let whole = String::from_utf8(whole.to_vec()).unwrap();
    for (text, kind) in [
        (whole[1..].to_owned(), ErrorKind::Corrupt),
        (whole.replace("\"id\": 7", "\"id\": 8"), ErrorKind::Corrupt),
        (whole.replace("\"version\": 1", "\"version\": 9"), ErrorKind::Invalid),
    ] {
        assert_ne!(text, whole);
        store.put(&path, PutPayload::from(text)).await.unwrap();
        assert_eq!(schemas.by_id(7).await.unwrap_err().kind(), kind);
    }
    store.put(&path, PutPayload::from(whole)).await.unwrap();
    assert!(matches!(schemas.by_id(7).await.unwrap(), Found::Schema(_)), "an error is not remembered");
}

#[tokio::test]
async fn a_password_comes_from_files_and_may_change_while_it_is_used() {
    // tress:secret, as basic authentication has it.
    let (_, url) = Server::start(&[("schemas/ids/1", 200, json!({"schema": INT}))], Some("Basic dHJlc3M6c2VjcmV0")).await;
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        std::fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name)
    };
    let settings = |password| Settings { url: url.clone(), password, authorities: None };
    let password = Password { username: file("username", "tress\n"), password: file("password", "older") };
    let schemas = Schemas::of(Contract::open(settings(Some(password.clone()))).unwrap(), lake());
    let error = schemas.by_id(1).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    assert!(error.to_string().contains("refuses this name and password") && !error.to_string().contains("older"), "{error}");
    file("password", "secret");
    assert!(matches!(schemas.by_id(1).await.unwrap(), Found::Schema(_)));
    std::fs::remove_file(&password.password).unwrap();
    let error = Contract::open(settings(Some(password))).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("password; is the secret mounted?"), "{error}");
    let authorities = Some(file("ca.crt", "none"));
    let error = Contract::open(Settings { url, password: None, authorities }).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
}

#[test]
fn a_registry_is_who_it_is_by_where_it_is() {
    let of = |url: &str| contract(&Url::parse(url).unwrap()).identity().to_owned();
    assert_eq!(of("https://Registry.acme:443/ccompat/"), of("https://registry.acme/ccompat"));
    assert_ne!(of("https://registry.acme/a"), of("https://registry.acme/b"));
    assert_ne!(of("https://registry.acme:1"), of("https://registry.acme:2"));
    let safe = of("http://[::1]:8081/apis");
    assert!(safe.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '.')), "{safe}");
}
