//! ControlService of a pod: refuses and forgets as fate has it.

use std::sync::Arc;

use tonic::{Request, Response, Status};
use tress_engine::serve::proto;
use tress_engine::serve::proto::control_service_server::ControlService;
use tress_engine::serve::proto::revision_description::State as Told;
use tress_engine::serve::{Pinned, Route, RouteFile};

use super::loading::State;
use super::serving::Pod;

#[derive(Debug)]
pub struct Control(pub Arc<Pod>);

impl Control {
    fn hears(&self, call: &str) -> Result<(), Status> {
        let fate = &self.0.fate;
        match fate.happens(fate.mood.silent, &format!("call {} {call}", self.0.name)) {
            true => Err(Status::unavailable("it did not hear")),
            false => Ok(()),
        }
    }
}

fn pinned(told: proto::PinnedRevision) -> Pinned {
    Pinned { uid: told.uid, digest: told.digest }
}

fn route(told: proto::Route) -> Route {
    Route {
        feature_uid: Some(told.feature_uid).filter(|uid| !uid.is_empty()),
        live: told.live.map(pinned),
        trial: told.trial.map(pinned),
        loaded: told.loaded.into_iter().map(pinned).collect(),
        weight_bp: told.weight_bp,
        epoch: told.epoch,
        attempt: told.attempt,
        // It decides nothing about what is read.
        ..Route::default()
    }
}

#[tonic::async_trait]
impl ControlService for Control {
    async fn get_status(&self, _: Request<proto::GetStatusRequest>) -> Result<Response<proto::GetStatusResponse>, Status> {
        self.hears("status")?;
        Ok(Response::new(self.0.status().await))
    }

    async fn load(&self, request: Request<proto::LoadRequest>) -> Result<Response<proto::LoadResponse>, Status> {
        self.hears("load")?;
        let revisions = request.into_inner().revisions.into_iter().map(|wanted| {
            let asked = pinned(wanted.revision.unwrap_or_default());
            let state = match self.0.ask(&wanted.feature, &asked) {
                State::Ready => Told::Ready,
                State::Loading => Told::Loading,
            };
            let revision = Some(proto::PinnedRevision { uid: asked.uid, digest: asked.digest });
            proto::LoadedRevision { feature: wanted.feature, revision, state: state.into(), reason: String::new() }
        });
        Ok(Response::new(proto::LoadResponse { revisions: revisions.collect() }))
    }

    async fn set_route(&self, request: Request<proto::SetRouteRequest>) -> Result<Response<proto::SetRouteResponse>, Status> {
        self.hears("route")?;
        let features = request.into_inner().routes.into_iter().map(|told| (told.feature.clone(), route(told))).collect();
        let file = RouteFile { features, ..RouteFile::default() };
        let applied = self.0.push(&file).await.map_err(|e| Status::unavailable(e.to_string()))?;
        let refused =
            |r: tress_engine::serve::Refused| proto::RefusedRoute { feature: r.feature.to_string(), epoch: r.epoch, seen: r.seen };
        Ok(Response::new(proto::SetRouteResponse {
            changed: applied.changed.iter().map(ToString::to_string).collect(),
            refused: applied.refused.into_iter().map(refused).collect(),
        }))
    }
}
