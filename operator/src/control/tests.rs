use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use serde_json::json;
use tokio::net::TcpListener;
use tokio_rustls::rustls::crypto::aws_lc_rs;
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Certificate, Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status};

use super::proto::control_service_server::{ControlService, ControlServiceServer};
use super::*;
use crate::clock::Clock;
use crate::cluster::{Cluster, View};
use crate::metrics::Metrics;

fn day(n: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + n * 86_400).unwrap()
}

#[test]
fn authorities_are_followed_in_time_and_overlap() {
    let first = Authorities::first(day(0)).unwrap();
    assert_eq!(first.renewed(day(4 * 365 - 1)).unwrap(), None);
    let now = day(4 * 365 + 1);
    let both = first.renewed(now).unwrap().unwrap();
    assert_eq!(both.bundle().matches("BEGIN CERTIFICATE").count(), 2);
    assert!(both.bundle().starts_with(&first.bundle()));
    // A new one signs nothing before everybody has heard of it.
    assert_eq!(both.signer(now), first.signer(now));
    let later = now + SignedDuration::from_hours(24);
    assert_ne!(both.signer(later), first.signer(later));
    assert_eq!(both.renewed(later).unwrap(), None);
    let after = both.renewed(day(5 * 365 + 1)).unwrap().unwrap();
    assert_eq!(after.bundle().matches("BEGIN CERTIFICATE").count(), 1);
}

#[test]
fn what_is_kept_is_read_back_and_what_is_not_ours_is_refused_without_a_word_of_it() {
    let authorities = Authorities::first(day(0)).unwrap();
    assert_eq!(Authorities::from_json(&authorities.to_json()).unwrap(), authorities);
    for bad in [&b"secret text"[..], b"{}", br#"{"version": 2, "authorities": []}"#, br#"{"version": 1, "authorities": []}"#] {
        let error = Authorities::from_json(bad).unwrap_err().to_string();
        assert!(error.contains(CA) && error.contains("delete it") && !error.contains("secret text"), "{error}");
    }
    assert!(!format!("{authorities:?}").contains("PRIVATE KEY"));
}

/// A pod that counts how often it is asked.
#[derive(Debug, Default)]
struct Counting {
    asked: Arc<AtomicUsize>,
}

#[tonic::async_trait]
impl ControlService for Counting {
    async fn get_status(&self, _: Request<proto::GetStatusRequest>) -> Result<Response<proto::GetStatusResponse>, Status> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(Response::new(proto::GetStatusResponse { ready: true, ..Default::default() }))
    }

    async fn load(&self, _: Request<proto::LoadRequest>) -> Result<Response<proto::LoadResponse>, Status> {
        Err(Status::unimplemented("no test loads"))
    }

    async fn set_route(&self, request: Request<proto::SetRouteRequest>) -> Result<Response<proto::SetRouteResponse>, Status> {
        let changed = request.into_inner().routes.into_iter().map(|route| route.feature).collect();
        Ok(Response::new(proto::SetRouteResponse { changed, refused: Vec::new() }))
    }
}

/// Listens as a pod of `namespace` does, with what is in its Secret.
async fn serve(authorities: &Authorities, namespace: &str, trusts: &Authorities) -> (SocketAddr, Arc<AtomicUsize>) {
    // As the process does at its start; another test may have done it.
    let _ = aws_lc_rs::default_provider().install_default();
    let leaf = authorities.leaf(&Purpose::Server(server_name(namespace)), Timestamp::now()).unwrap();
    let tls = ServerTlsConfig::new()
        .identity(Identity::from_pem(&leaf.certificate, &leaf.key))
        .client_ca_root(Certificate::from_pem(trusts.bundle()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let (address, pod) = (listener.local_addr().unwrap(), Counting::default());
    let asked = Arc::clone(&pod.asked);
    let server = Server::builder().tls_config(tls).unwrap().add_service(ControlServiceServer::new(pod));
    tokio::spawn(server.serve_with_incoming(TcpIncoming::from(listener)));
    (address, asked)
}

fn pod(name: &str, labels: &[(&str, &str)]) -> Pod {
    let labels: BTreeMap<_, _> = labels.iter().copied().collect();
    let object = json!({
        "metadata": {"name": name, "namespace": "movies", "uid": name, "labels": labels},
        "status": {"phase": "Running", "podIP": "127.0.0.1"},
    });
    serde_json::from_value(object).unwrap()
}

fn pods(port: u16, trust: &Authorities) -> Pods {
    let serving = [("tress.dev/role", "serve"), ("tress.dev/of", "default")];
    let all = vec![pod("a", &serving), pod("b", &[("tress.dev/role", "stream"), ("tress.dev/of", "default")])];
    let cluster = Cluster { pods: View::of(all), ..Cluster::empty() };
    let pods = Pods::at_port(port, cluster, (Clock::system(), Metrics::new()));
    pods.trust(trust.clone()).unwrap();
    pods
}

#[tokio::test]
async fn serving_pods_are_asked_and_told_over_certificates_of_both_sides() {
    let authorities = Authorities::first(Timestamp::now()).unwrap();
    let (address, asked) = serve(&authorities, "movies", &authorities).await;
    let pods = pods(address.port(), &authorities);
    assert!(pods.say("movies", "default")[0].status.is_none());
    let said = pods.ask_now("movies", "default").await;
    // The stream's pod is none of the pool.
    assert_eq!(said.iter().map(|said| (said.pod.as_str(), said.status.as_ref().unwrap().ready)).collect::<Vec<_>>(), [("a", true)]);
    let route = proto::Route { feature: "movies/rated".to_owned(), ..Default::default() };
    let pushed = pods.push("movies", "default", vec![route]).await;
    assert_eq!(pushed[0].answer.as_ref().unwrap().changed, ["movies/rated"]);
    assert_eq!(asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn who_is_not_of_our_authority_or_of_another_namespace_is_not_spoken_to() {
    let (ours, theirs) = (Authorities::first(Timestamp::now()).unwrap(), Authorities::first(Timestamp::now()).unwrap());
    for (signs, namespace, trusts, why) in [
        (&theirs, "movies", &ours, "its certificate is not of our authority"),
        (&ours, "playback", &ours, "its certificate is of another namespace"),
        (&ours, "movies", &theirs, "it trusts another authority"),
    ] {
        let (address, asked) = serve(signs, namespace, trusts).await;
        let said = pods(address.port(), &ours).ask_now("movies", "default").await;
        assert!(said[0].status.is_none() && said[0].when.is_some(), "{why}");
        assert_eq!(asked.load(Ordering::SeqCst), 0, "{why}");
    }
}

#[tokio::test]
async fn after_a_new_authority_old_and_new_pods_are_spoken_to() {
    let first = Authorities::first(Timestamp::now() - SignedDuration::from_hours(24 * (4 * 365 + 10))).unwrap();
    let both = first.renewed(Timestamp::now()).unwrap().unwrap();
    for (signs, trusts) in [(&first, &first), (&first, &both), (&both, &both)] {
        let (address, _) = serve(signs, "movies", trusts).await;
        let said = pods(address.port(), &both).ask_now("movies", "default").await;
        assert!(said[0].status.is_some());
    }
}

#[tokio::test]
async fn answers_that_matter_wake_those_who_want_to_know_and_others_do_not() {
    let authorities = Authorities::first(Timestamp::now()).unwrap();
    let (address, _) = serve(&authorities, "movies", &authorities).await;
    let pods = pods(address.port(), &authorities);
    let woken = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&woken);
    pods.observe(move |namespace, pool| {
        assert_eq!((namespace, pool), ("movies", "default"));
        count.fetch_add(1, Ordering::SeqCst);
    });
    for (wanted, attends) in [(1, false), (1, false), (2, true), (3, true)] {
        if attends {
            pods.attend("movies", "default");
        }
        pods.ask_now("movies", "default").await;
        assert_eq!(woken.load(Ordering::SeqCst), wanted);
    }
}
