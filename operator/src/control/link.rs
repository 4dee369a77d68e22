//! A connection to a serving pod.

use std::net::IpAddr;
use std::time::Duration;

use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};

use super::proto::control_service_client::ControlServiceClient;
use super::{Authorities, Leaf, proto};
use crate::error::{Error, Result};

/// How long one call may take.
pub(super) const PATIENCE: Duration = Duration::from_secs(3);
/// The largest reply that is taken.
const MAX_REPLY: usize = 64 << 20;

/// Whom we trust, and as whom we call.
#[derive(Debug)]
pub(super) struct Trust {
    pub authorities: Authorities,
    pub us: Leaf,
}

/// Where a pod listens, and as whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Address {
    pub ip: IpAddr,
    pub port: u16,
    pub server: String,
}

/// A connection, made when it is first needed and again when it breaks. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Link(ControlServiceClient<Channel>);

impl Link {
    pub fn to(address: &Address, trust: &Trust) -> Result<Self> {
        let Address { ip, port, server } = address;
        let host = match ip {
            IpAddr::V4(ip) => ip.to_string(),
            IpAddr::V6(ip) => format!("[{ip}]"),
        };
        let unusable = |e: tonic::transport::Error| Error::invalid(format!("connect to https://{host}:{port}: {e}"));
        let tls = ClientTlsConfig::new()
            .domain_name(server)
            .ca_certificate(Certificate::from_pem(trust.authorities.bundle()))
            .identity(Identity::from_pem(&trust.us.certificate, &trust.us.key));
        let endpoint = Endpoint::from_shared(format!("https://{host}:{port}")).map_err(unusable)?;
        let endpoint = endpoint.connect_timeout(PATIENCE).timeout(PATIENCE).tls_config(tls).map_err(unusable)?;
        Ok(Self(ControlServiceClient::new(endpoint.connect_lazy()).max_decoding_message_size(MAX_REPLY)))
    }

    pub async fn status(&self) -> Result<proto::GetStatusResponse, tonic::Status> {
        Ok(self.0.clone().get_status(proto::GetStatusRequest {}).await?.into_inner())
    }

    pub async fn set_route(&self, routes: Vec<proto::Route>) -> Result<proto::SetRouteResponse, tonic::Status> {
        Ok(self.0.clone().set_route(proto::SetRouteRequest { routes }).await?.into_inner())
    }
}
