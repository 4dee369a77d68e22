//! The service over gRPC: translates, asks the reader, translates back.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::histogram::Histogram;
use tonic::{Request, Response, Status};

use super::proto;
use super::proto::sequence_service_server::SequenceService;
use super::reader::{Reader, within};
use super::refusal::Refusal;
use super::wire;
use crate::clock::Stopwatch;
use crate::metrics::{Call, Metrics, Protocol};

/// Answers over gRPC.
#[derive(Debug)]
pub struct Grpc {
    reader: Arc<Reader>,
    timeout: Duration,
    get: Histogram,
    batch: Histogram,
    describe: Histogram,
}

impl Grpc {
    /// `timeout`: the longest that a call may take; a caller's own deadline may be shorter.
    pub fn new(reader: Arc<Reader>, timeout: Duration) -> Self {
        let call = |metrics: &Metrics, call| metrics.call(Protocol::Grpc, call);
        let metrics = reader.metrics.clone();
        Self {
            timeout,
            get: call(&metrics, Call::Get),
            batch: call(&metrics, Call::Batch),
            describe: call(&metrics, Call::Describe),
            reader,
        }
    }
}

#[tonic::async_trait]
impl SequenceService for Grpc {
    async fn get_sequence(&self, request: Request<proto::GetSequenceRequest>) -> Result<Response<proto::Sequence>, Status> {
        let start = Stopwatch::start();
        let proto::GetSequenceRequest { feature, entity, read } = request.into_inner();
        let (wanted, encoding) = wire::wanted(read)?;
        let outcome = within(self.timeout, self.reader.get(&feature, &wire::ask(entity)?, &wanted)).await?;
        let reply = wire::sequence(&outcome, encoding).map_err(Refusal::from)?;
        self.get.observe(start.elapsed().as_secs_f64());
        Ok(Response::new(reply))
    }

    async fn batch_get_sequences(
        &self,
        request: Request<proto::BatchGetSequencesRequest>,
    ) -> Result<Response<proto::SequenceBatch>, Status> {
        let start = Stopwatch::start();
        let proto::BatchGetSequencesRequest { feature, entities, read } = request.into_inner();
        let (wanted, encoding) = wire::wanted(read)?;
        let asks = entities.into_iter().map(|entity| wire::ask(Some(entity))).collect::<Result<Vec<_>, _>>()?;
        let outcomes = within(self.timeout, self.reader.batch(&feature, &asks, &wanted)).await?;
        let reply = wire::batch(&outcomes, encoding).map_err(Refusal::from)?;
        self.batch.observe(start.elapsed().as_secs_f64());
        Ok(Response::new(reply))
    }

    async fn describe_feature(
        &self,
        request: Request<proto::DescribeFeatureRequest>,
    ) -> Result<Response<proto::FeatureDescription>, Status> {
        let start = Stopwatch::start();
        let proto::DescribeFeatureRequest { feature, revision } = request.into_inner();
        let description = self.reader.describe(&feature, &wire::choice(revision)?)?;
        let reply = wire::description(description).map_err(Refusal::from)?;
        self.describe.observe(start.elapsed().as_secs_f64());
        Ok(Response::new(reply))
    }
}
