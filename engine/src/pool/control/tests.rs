use std::path::PathBuf;
use std::time::Duration;

use super::Client;
use crate::error::{ErrorKind, Result};
use crate::pool::fixture::{Running, World, route, until};
use crate::pool::{Pool, Settings};
use crate::serve::proto::revision_description::State;
use crate::serve::tls::Trust;
use crate::serve::tls::fixture::{Authority, Leaf, Purpose, SERVER, mount};
use crate::serve::{Pinned, RouteFile};

const LATER: i32 = 2999;
const WAIT: Duration = Duration::from_secs(5);

/// Whether a caller with this certificate, who trusts `authority`, is let in.
async fn call(world: &World, pool: &Running, (leaf, authority): (Option<&Leaf>, &Authority)) -> Result<Client> {
    let trust = match leaf {
        None => Trust::in_bundle(authority.pem().into_bytes(), SERVER),
        Some(leaf) => {
            let folder = tempfile::tempdir_in(world.folder.path()).expect("a folder");
            mount(folder.path(), leaf, &[authority]);
            Trust::of_folder(folder.path(), SERVER).await.expect("certificates")
        }
    };
    let client = Client::connect(&format!("https://{}", pool.addresses.control.expect("control is on")), WAIT, &trust).await?;
    // With TLS 1.3 a caller learns only by its first call that it was refused.
    client.status().await?;
    Ok(client)
}

fn folder(world: &World) -> PathBuf {
    world.folder.path().join("control")
}

#[tokio::test(flavor = "multi_thread")]
async fn only_callers_with_a_certificate_of_the_bundle_are_let_in() {
    let world = World::new().await;
    let (ours, foreign) = (&world.authority, Authority::new("foreign"));
    let pool = world.pool("one").await;
    call(&world, &pool, (Some(&ours.leaf(Purpose::Client, LATER)), ours)).await.expect("let in");
    for (what, leaf) in [
        ("no certificate", None),
        ("a foreign one", Some(foreign.leaf(Purpose::Client, LATER))),
        ("an expired one", Some(ours.leaf(Purpose::Client, 2002))),
        ("a server's", Some(ours.leaf(Purpose::Server, LATER))),
    ] {
        let error = call(&world, &pool, (leaf.as_ref(), ours)).await.expect_err(what);
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{what}: {error}");
    }
    let error = call(&world, &pool, (Some(&ours.leaf(Purpose::Client, LATER)), &foreign)).await.expect_err("who trusts another server");
    assert_eq!(error.kind(), ErrorKind::Unavailable);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn authorities_are_changed_without_a_moment_in_which_nobody_is_let_in() {
    let world = World::new().await;
    let (old, new) = (&world.authority, Authority::new("new"));
    let pool = world.pool("one").await;
    let (old_caller, new_caller) = (old.leaf(Purpose::Client, LATER), new.leaf(Purpose::Client, LATER));
    let open = call(&world, &pool, (Some(&old_caller), old)).await.expect("let in");
    call(&world, &pool, (Some(&new_caller), old)).await.expect_err("not known yet");
    // Old and new in the bundle, the certificate still of the old one; then the new one; then the old authority goes.
    mount(&folder(&world), &old.leaf(Purpose::Both, LATER), &[old, &new]);
    until("the new caller is let in", async || call(&world, &pool, (Some(&new_caller), old)).await.ok()).await;
    call(&world, &pool, (Some(&old_caller), old)).await.expect("still let in");
    mount(&folder(&world), &new.leaf(Purpose::Both, LATER), &[old, &new]);
    until("the server has a certificate of the new one", async || call(&world, &pool, (Some(&old_caller), &new)).await.ok()).await;
    mount(&folder(&world), &new.leaf(Purpose::Both, LATER), &[&new]);
    until("the old caller is let in no more", async || call(&world, &pool, (Some(&old_caller), &new)).await.err()).await;
    call(&world, &pool, (Some(&new_caller), &new)).await.expect("let in");
    open.status().await.expect("a connection that is open goes on");
    // A server whose own certificate has ended is not trusted.
    mount(&folder(&world), &new.leaf(Purpose::Both, 2002), &[&new]);
    until("the server is not trusted", async || call(&world, &pool, (Some(&new_caller), &new)).await.err()).await;
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_asked_for_is_loaded_beside_and_what_is_wrong_is_named() {
    let world = World::new().await;
    let rated = world.revision("rated", 3).await;
    let name = World::feature("rated", 3).name;
    let pool = world.pool("one").await;
    let early = pool.control.set_route(&RouteFile::default()).await.unwrap_err();
    assert!(early.kind() == ErrorKind::Unavailable && early.to_string().contains("was not read yet"), "{early}");
    world.route(&[]).await;
    pool.ready().await;
    let told = pool.control.load(&[(name.clone(), rated.clone())]).await.expect("states");
    assert_eq!(told.iter().map(|t| t.feature.as_str()).collect::<Vec<_>>(), ["movies/rated"]);
    let ready = pool.is("movies/rated", &rated, State::Ready).await;
    assert_eq!(ready.pins, []);
    let states = pool.control.load(&[(name.clone(), rated.clone())]).await.expect("states");
    assert_eq!(states[0].state, i32::from(State::Ready), "asking again tells how far it is");

    let no_digest = Pinned { uid: rated.uid.clone(), digest: String::new() };
    let error = pool.control.load(&[(name.clone(), no_digest.clone())]).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().starts_with("revisions.revision"), "{error}");
    let many = vec![(name.clone(), rated.clone()); 1001];
    assert!(pool.control.load(&many).await.unwrap_err().to_string().contains("split the call"));
    let mut heavy = route(&rated, 1);
    heavy.weight_bp = 5;
    let file = |name: &str, route| RouteFile { features: [(name.to_owned(), route)].into(), ..RouteFile::default() };
    let error = pool.control.set_route(&file("movies/rated", heavy)).await.unwrap_err();
    assert!(error.kind() == ErrorKind::Invalid && error.to_string().contains("weightBp"), "{error}");
    let error = pool.control.set_route(&file("rated", route(&rated, 1))).await.unwrap_err();
    assert!(error.to_string().contains("namespace/name"), "{error}");
    let wrong = pool.control.set_route(&file("movies/rated", route(&no_digest, 1))).await.unwrap_err();
    assert!(wrong.to_string().starts_with("routes.live"), "{wrong}");

    // Who asks by digest is told to those who run the process.
    world.happen(crate::pool::fixture::RATING, "u", 0..5).await;
    let wanted =
        crate::serve::Wanted { choice: crate::serve::Choice::Digest(rated.digest.clone()), consumer: "job".into(), ..Default::default() };
    pool.client().await.get("movies/rated", &crate::entity::Entity::String("u".into()), &wanted).await.expect("a reply");
    let pins = pool.of("movies/rated", &rated).await.expect("loaded").pins;
    assert_eq!(pins.iter().map(|pin| pin.consumer.as_str()).collect::<Vec<_>>(), ["job"]);
    pool.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_process_does_not_start_without_the_certificates_of_its_control_and_may_be_told_to_have_none() {
    let world = World::new().await;
    let any = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let settings = |control| Settings {
        state: world.folder.path().join("bare"),
        routes: world.routes(),
        memory: 1,
        serve: crate::serve::Settings { grpc: any, http: any, ..Default::default() },
        control,
        pace: crate::pool::Pace::default(),
    };
    let bare = super::Settings { address: any, tls: world.folder.path().join("nowhere"), renewal: WAIT };
    let error = Pool::bind(world.platform.clone(), settings(Some(bare))).await.unwrap_err();
    assert!(error.kind() == ErrorKind::NotFound && error.to_string().contains("tls.crt"), "{error}");
    let pool = Pool::bind(world.platform.clone(), settings(None)).await.expect("bound");
    assert_eq!(pool.addresses().control, None);
}
