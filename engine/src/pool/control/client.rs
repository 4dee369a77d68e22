//! A client of a serving process, for tools and tests.

use std::time::Duration;

use tonic::transport::Channel;
use tress_configs::name::QualifiedName;

use super::wire;
use crate::error::Result;
use crate::serve::client::{connect, endpoint, trusting};
use crate::serve::proto;
use crate::serve::proto::control_service_client::ControlServiceClient;
use crate::serve::tls::Trust;
use crate::serve::wire::read_status;
use crate::serve::{Pinned, RouteFile};

/// The largest reply that is taken.
const MAX_REPLY: usize = 64 << 20;

/// A connection to a serving process. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    service: ControlServiceClient<Channel>,
}

impl Client {
    /// `address`: `https://10.0.0.7:7402`.
    ///
    /// # Errors
    /// `Invalid` for an address or certificates that are none; `Unavailable` when nobody answers there, or one does not trust the
    /// other.
    pub async fn connect(address: &str, timeout: Duration, trust: &Trust) -> Result<Self> {
        let channel = connect(trusting(endpoint(address, timeout)?, trust)?).await?;
        Ok(Self { service: ControlServiceClient::new(channel).max_decoding_message_size(MAX_REPLY) })
    }

    /// Everything that the process has loaded.
    ///
    /// # Errors
    /// `Unavailable` when it does not answer, or does not let us in.
    pub async fn status(&self) -> Result<proto::GetStatusResponse> {
        let reply = self.service.clone().get_status(proto::GetStatusRequest {}).await;
        Ok(reply.map_err(|s| read_status(&s))?.into_inner())
    }

    /// Has revisions loaded beside those that are read; answers before they are.
    ///
    /// # Errors
    /// What the server refuses, by kind.
    pub async fn load(&self, revisions: &[(QualifiedName, Pinned)]) -> Result<Vec<proto::LoadedRevision>> {
        let wanted = |(feature, pinned): &(QualifiedName, Pinned)| proto::load_request::Wanted {
            feature: feature.to_string(),
            revision: Some(wire::write_pinned(pinned)),
        };
        let request = proto::LoadRequest { revisions: revisions.iter().map(wanted).collect() };
        Ok(self.service.clone().load(request).await.map_err(|s| read_status(&s))?.into_inner().revisions)
    }

    /// Puts routes in force before the mounted file has them. Those that are refused are in the answer, and the others in force.
    ///
    /// # Errors
    /// What the server refuses, by kind.
    pub async fn set_route(&self, file: &RouteFile) -> Result<proto::SetRouteResponse> {
        let routes = file.features.iter().map(|(feature, route)| wire::write_route(feature, route)).collect();
        Ok(self.service.clone().set_route(proto::SetRouteRequest { routes }).await.map_err(|s| read_status(&s))?.into_inner())
    }
}
