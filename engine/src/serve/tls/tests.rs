use std::sync::Arc;
use std::time::Duration;

use tempfile::tempdir;

use super::fixture::{Authority, Purpose, SERVER, mount};
use super::*;
use crate::clock::SystemClock;
use crate::entity::Entity;
use crate::error::ErrorKind;
use crate::serve::fixture::{FEATURE, Process, Running, plan};
use crate::serve::{Budgets, Client, Server, Settings, Wanted};

const LATER: i32 = 2999;
const WAIT: Duration = Duration::from_secs(5);

async fn encrypted(folder: &std::path::Path) -> Running {
    let process = Process::start(Budgets::default()).await;
    let live = process.load(plan(&["item", "title"], 5));
    process.route(Some(&live), None, 1).await;
    let folder = folder.to_owned();
    process
        .listen(move |settings| {
            settings.tls = Some(folder);
            settings.renewal = Duration::from_millis(20);
        })
        .await
}

async fn client(running: &Running, authority: &Authority) -> crate::Result<Client> {
    let trust = Trust::in_bundle(authority.pem().into_bytes(), SERVER);
    Client::connect_tls(&format!("https://{}", running.addresses.grpc), WAIT, &trust).await
}

async fn reads(client: &Client) {
    let reply = client.get(FEATURE, &Entity::String("u6".into()), &Wanted::default()).await.expect("a reply");
    assert_eq!(reply.rows.num_rows(), 5);
}

#[tokio::test]
async fn renewed_certificates_are_for_new_connections_and_open_ones_go_on() {
    let folder = tempdir().expect("a folder");
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    mount(folder.path(), &old.leaf(Purpose::Server, LATER), &[]);
    let running = encrypted(folder.path()).await;
    let before = client(&running, &old).await.expect("a connection");
    reads(&before).await;
    assert!(client(&running, &new).await.is_err(), "another authority is not trusted");

    mount(folder.path(), &new.leaf(Purpose::Server, LATER), &[]);
    let after = tokio::time::timeout(WAIT, async {
        loop {
            if let Ok(client) = client(&running, &new).await {
                return client;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    });
    reads(&after.await.expect("the new certificate is taken up")).await;
    assert!(client(&running, &old).await.is_err(), "new connections get the new certificate");
    reads(&before).await;
    drop(before);
    running.stop().await;
}

#[tokio::test]
async fn nobody_gets_in_without_encryption_and_who_only_connects_holds_up_nobody() {
    let folder = tempdir().expect("a folder");
    let authority = Authority::new("one");
    mount(folder.path(), &authority.leaf(Purpose::Server, LATER), &[]);
    let running = encrypted(folder.path()).await;
    let silent = tokio::net::TcpStream::connect(running.addresses.grpc).await.expect("a connection");
    let plain = Client::connect(&format!("http://{}", running.addresses.grpc), WAIT).await;
    if let Ok(plain) = plain {
        plain.get(FEATURE, &Entity::String("u6".into()), &Wanted::default()).await.expect_err("it speaks no TLS");
    }
    reads(&client(&running, &authority).await.expect("a connection")).await;
    assert_eq!(running.get("/healthz").await.0, 200, "for people it stays plain");
    running.stop().await;
    drop(silent);
}

#[tokio::test]
async fn what_cannot_be_used_is_told_once_and_the_old_stays() {
    let folder = tempdir().expect("a folder");
    let (one, other) = (Authority::new("one"), Authority::new("other"));
    let (leaf, foreign) = (one.leaf(Purpose::Both, LATER), other.leaf(Purpose::Both, LATER));
    mount(folder.path(), &leaf, &[&one]);
    let tls = Tls { folder: folder.path().to_owned(), callers: Callers::Certified };
    let certificates = Certificates::open(tls, Arc::new(SystemClock)).await.expect("whole");
    let first = certificates.current();
    assert_eq!(certificates.look().await.expect("a look"), Renewed::Unchanged);

    for (file, text, says) in [
        ("tls.key", foreign.key.as_str(), "tls.crt"),
        ("tls.key", "no key", "tls.key"),
        ("tls.crt", "no certificate", "tls.crt"),
        ("ca.crt", "", "ca.crt"),
    ] {
        mount(folder.path(), &leaf, &[&one]);
        std::fs::write(folder.path().join(file), text).expect("written");
        let error = certificates.look().await.expect_err("it cannot be used");
        assert_eq!(error.kind(), ErrorKind::Invalid, "{error}");
        assert!(error.to_string().contains(says) && !error.to_string().contains("PRIVATE"), "{error}");
        assert_eq!(certificates.look().await.expect("told already"), Renewed::Unchanged);
        assert!(Arc::ptr_eq(&first, &certificates.current()));
    }
    std::fs::remove_file(folder.path().join("ca.crt")).expect("removed");
    assert_eq!(certificates.look().await.expect_err("it is missing").kind(), ErrorKind::NotFound);
    mount(folder.path(), &foreign, &[&one, &other]);
    assert_eq!(certificates.look().await.expect("whole"), Renewed::Taken);
    assert!(!Arc::ptr_eq(&first, &certificates.current()));
}

#[tokio::test]
async fn a_server_does_not_start_without_the_certificates_that_it_is_told_to_use() {
    let folder = tempdir().expect("a folder");
    let process = Process::start(Budgets::default()).await;
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = Settings { grpc: any, http: any, tls: Some(folder.path().to_owned()), ..Settings::default() };
    let error = Server::bind(settings, process.reader.clone()).await.expect_err("there are none");
    assert_eq!(error.kind(), ErrorKind::NotFound);
    assert!(error.to_string().contains("tls.crt"), "{error}");
}
