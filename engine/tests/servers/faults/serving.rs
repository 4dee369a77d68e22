//! A process that serves: the engine's own parts, until there is a role for it.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tress_configs::Plan;
use tress_engine::clock::SystemClock;
use tress_engine::platform::Platform;
use tress_engine::roles::{Followed, Tasks, Trim};
use tress_engine::serve::{About, Admission, Budgets, Reader, Registry, Routes, Server, Settings, Watch};
use tress_engine::store::ServedFeature;
use tress_engine::{faults, prepare};

use super::process::Launch;
use super::world::World;

/// What it is given, in its environment.
const ARGUMENTS: [&str; 5] =
    ["TRESS_TEST_PLATFORM", "TRESS_TEST_ROUTES", "TRESS_TEST_STATE", "TRESS_TEST_GRPC", "TRESS_TEST_HTTP"];

/// A process that serves what is routed. `state`: its own folder.
pub fn launch(world: &World, state: &Path, (grpc, http): (SocketAddr, SocketAddr)) -> Launch {
    let values = [
        world.platform_file.display().to_string(),
        world.routes_file().display().to_string(),
        state.display().to_string(),
        grpc.to_string(),
        http.to_string(),
    ];
    Launch {
        program: std::env::current_exe().unwrap(),
        arguments: ["--ignored", "--exact", "faults::serving::serves_until_killed", "--nocapture"].map(str::to_owned).to_vec(),
        environment: ARGUMENTS.iter().map(|a| (*a).to_owned()).zip(values).collect(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that other tests kill"]
async fn serves_until_killed() {
    faults::arm_from_env().unwrap();
    let [platform_file, routes_file, state, grpc, http] = ARGUMENTS.map(|a| std::env::var(a).expect("only run by the tests that kill it"));
    let state = PathBuf::from(state);
    std::fs::create_dir_all(&state).unwrap();
    let stop = CancellationToken::new();
    let (platform, following) = Platform::open(Path::new(&platform_file), Arc::new(SystemClock)).unwrap();
    tokio::spawn(following.run(platform.clone(), Duration::from_secs(5), stop.clone()));
    let routes = Arc::new(Routes::open(Some(&state.join("epochs.json"))).await.unwrap());
    Watch::new(PathBuf::from(routes_file)).poll(&routes).await.unwrap();
    let registry = Arc::new(Registry::default());
    let reader = Arc::new(Reader {
        registry: Arc::clone(&registry),
        routes: Arc::clone(&routes),
        admission: Admission::new(Budgets::default()),
        clock: Arc::clone(platform.clock()),
        metrics: platform.metrics().clone(),
    });
    let table = routes.current();
    for (name, route) in table.iter() {
        registry.loading(name, &route.live.as_ref().unwrap().digest);
    }
    let settings = Settings { grpc: grpc.parse().unwrap(), http: http.parse().unwrap(), ..Settings::default() };
    let server = Server::bind(settings, reader).await.unwrap();
    let serving = tokio::spawn(server.run(stop.clone()));
    let mut tasks = Tasks::new(stop.clone());
    let mut followed: Option<Followed> = None;
    for (name, route) in table.iter() {
        let live = route.live.as_ref().unwrap();
        let revision = prepare::read_feature(&platform, &live.uid).await.unwrap().unwrap();
        let Plan::Feature(plan) = prepare::plan(&platform, &live.digest).await.unwrap() else { panic!("a feature's plan") };
        let signal = &revision.signals[0];
        let Plan::Signal(of) = prepare::plan(&platform, &signal.digest).await.unwrap() else { panic!("a signal's plan") };
        if followed.is_none() {
            let made = Followed::start(&platform, (&signal.uid, &Arc::new(of)), (&state, Trim::Retention), &mut tasks).await.unwrap();
            while !matches!(made.follower.caught_up().await, Ok(true)) {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            followed = Some(made);
        }
        let stores = vec![Arc::clone(&followed.as_ref().unwrap().store)];
        registry.ready(Arc::new(ServedFeature::new(Arc::new(plan), live.digest.clone(), stores).unwrap()), About::default());
        tracing::info!(%name, "ready");
    }
    serving.await.unwrap().unwrap();
}
