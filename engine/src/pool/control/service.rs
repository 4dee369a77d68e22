//! The service: translates, asks what the process shares, translates back.

use std::sync::Arc;

use tonic::{Request, Response, Status};

use super::{status, wire};
use crate::pool::Shared;
use crate::serve::Refusal;
use crate::serve::proto;
use crate::serve::proto::control_service_server::ControlService;

/// Answers those who run the process.
#[derive(Debug)]
pub struct Service {
    shared: Arc<Shared>,
}

impl Service {
    pub const fn new(shared: Arc<Shared>) -> Self {
        Self { shared }
    }
}

#[tonic::async_trait]
impl ControlService for Service {
    async fn get_status(&self, _: Request<proto::GetStatusRequest>) -> Result<Response<proto::GetStatusResponse>, Status> {
        Ok(Response::new(status::status(&self.shared).await))
    }

    async fn load(&self, request: Request<proto::LoadRequest>) -> Result<Response<proto::LoadResponse>, Status> {
        let wanted = wire::wanted(request.into_inner())?;
        self.shared.revisions.ask(&wanted).map_err(Refusal::from)?;
        let revisions = wanted.iter().map(|(feature, pinned)| status::loaded(&self.shared, feature, pinned)).collect();
        Ok(Response::new(proto::LoadResponse { revisions }))
    }

    async fn set_route(&self, request: Request<proto::SetRouteRequest>) -> Result<Response<proto::SetRouteResponse>, Status> {
        let file = wire::routes(request.into_inner())?;
        let pushed = self.shared.watch.lock().await.push(&self.shared.reader.routes, &file).await;
        let applied = pushed.map_err(Refusal::from)?;
        for refused in &applied.refused {
            let (epoch, seen) = (refused.epoch, refused.seen);
            tracing::warn!(feature = %refused.feature, epoch, seen, "a pushed route is older than the one in force, or differs under its epoch: refused");
        }
        Ok(Response::new(wire::applied(applied)))
    }
}
