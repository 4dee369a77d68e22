//! A small client over gRPC, for the command line and for tests. Schemas are asked for once per digest.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use arrow::ipc::reader::StreamReader;
use parking_lot::Mutex;
use tonic::transport::{Channel, Endpoint};

use super::decode::decode;
use super::profile::{EntityProfile, Profile};
use super::proto;
use super::proto::sequence_service_client::SequenceServiceClient;
use super::request::Wanted;
use super::schema;
use super::tls::Trust;
use super::wire;
use crate::entity::Entity;
use crate::error::{Context, Error, ErrorKind, Result};

/// A connection to a server. Cheap to clone; clones share it.
#[derive(Debug, Clone)]
pub struct Client {
    service: SequenceServiceClient<Channel>,
    schemas: Arc<Mutex<HashMap<String, SchemaRef>>>,
}

/// A sequence and what it says of itself.
#[derive(Debug, Clone, PartialEq)]
pub struct Reply {
    pub rows: RecordBatch,
    pub profile: Profile,
}

/// Sequences of many entities, in request order.
#[derive(Debug, Clone, PartialEq)]
pub struct BatchReply {
    /// Per entity; slices of one batch.
    pub rows: Vec<RecordBatch>,
    pub profile: Profile,
    pub entities: Vec<EntityProfile>,
}

impl Client {
    /// `address`: `http://127.0.0.1:7400`.
    ///
    /// # Errors
    /// `Invalid` for an address that is none; `Unavailable` when nobody answers there.
    pub async fn connect(address: &str, timeout: Duration) -> Result<Self> {
        Ok(Self::over(connect(endpoint(address, timeout)?).await?))
    }

    /// As [`Client::connect`], encrypted. `address`: `https://10.0.0.7:7400`.
    ///
    /// # Errors
    /// `Invalid`, too, for certificates that cannot be used; `Unavailable`, too, when the server's certificate is not trusted.
    pub async fn connect_tls(address: &str, timeout: Duration, trust: &Trust) -> Result<Self> {
        Ok(Self::over(connect(trusting(endpoint(address, timeout)?, trust)?).await?))
    }

    fn over(channel: Channel) -> Self {
        // The server bounds its replies.
        let service = SequenceServiceClient::new(channel).max_decoding_message_size(usize::MAX);
        Self { service, schemas: Arc::default() }
    }

    /// One entity. `feature`: `namespace/name`.
    ///
    /// # Errors
    /// What the server refuses, by kind; `Corrupt` for a reply that does not fit its schema.
    pub async fn get(&self, feature: &str, entity: &Entity, wanted: &Wanted) -> Result<Reply> {
        let request = proto::GetSequenceRequest {
            feature: feature.to_owned(),
            entity: Some(wire::write_entity(entity)),
            read: Some(wire::write_read(wanted)),
        };
        let reply = self.service.clone().get_sequence(request).await.map_err(|s| wire::read_status(&s))?.into_inner();
        let profile = wire::read_profile(reply.profile.ok_or_else(|| missing("profile"))?)?;
        let Some(proto::sequence::Payload::Columns(columns)) = reply.payload else {
            return Err(missing("columns"));
        };
        let schema = self.projected(feature, &profile, wanted).await?;
        let rows = decode(&schema, &columns).context(|| format!("get {feature}"))?;
        Ok(Reply { rows, profile })
    }

    /// Many entities, in the order given.
    ///
    /// # Errors
    /// As [`Client::get`].
    pub async fn batch(&self, feature: &str, entities: &[Entity], wanted: &Wanted) -> Result<BatchReply> {
        let request = proto::BatchGetSequencesRequest {
            feature: feature.to_owned(),
            entities: entities.iter().map(wire::write_entity).collect(),
            read: Some(wire::write_read(wanted)),
        };
        let reply = self.service.clone().batch_get_sequences(request).await.map_err(|s| wire::read_status(&s))?.into_inner();
        let profile = wire::read_profile(reply.profile.ok_or_else(|| missing("profile"))?)?;
        let Some(proto::sequence_batch::Payload::Columns(columns)) = reply.payload else {
            return Err(missing("columns"));
        };
        let schema = self.projected(feature, &profile, wanted).await?;
        let all = decode(&schema, &columns).context(|| format!("get {feature}"))?;
        let fits = reply.offsets.len() == entities.len() + 1
            && reply.offsets.windows(2).all(|w| w[0] <= w[1])
            && reply.offsets.last().is_some_and(|end| *end as usize == all.num_rows());
        if !fits {
            return Err(Error::corrupt(format!("get {feature}: the offsets do not fit the rows")));
        }
        let rows = reply.offsets.windows(2).map(|w| all.slice(w[0] as usize, (w[1] - w[0]) as usize)).collect();
        Ok(BatchReply { rows, profile, entities: reply.entities.into_iter().map(wire::read_entity_profile).collect() })
    }

    /// What a feature gives.
    ///
    /// # Errors
    /// What the server refuses, by kind.
    pub async fn describe(&self, feature: &str, revision: Option<&str>) -> Result<proto::FeatureDescription> {
        let revision = revision.map(|digest| proto::Revision { choice: Some(proto::revision::Choice::Digest(digest.to_owned())) });
        let request = proto::DescribeFeatureRequest { feature: feature.to_owned(), revision };
        Ok(self.service.clone().describe_feature(request).await.map_err(|s| wire::read_status(&s))?.into_inner())
    }

    /// The columns asked for, of the schema that the reply names.
    async fn projected(&self, feature: &str, profile: &Profile, wanted: &Wanted) -> Result<SchemaRef> {
        let whole = self.schema(feature, profile).await?;
        if wanted.columns.is_empty() {
            return Ok(whole);
        }
        let indexes = wanted.columns.iter().map(|name| whole.index_of(name)).collect::<std::result::Result<Vec<_>, _>>();
        let projected = indexes.and_then(|indexes| whole.project(&indexes));
        Ok(Arc::new(projected.map_err(|e| Error::corrupt(format!("get {feature}: the schema lacks a column: {e}")))?))
    }

    async fn schema(&self, feature: &str, profile: &Profile) -> Result<SchemaRef> {
        let known = self.schemas.lock().get(&profile.schema_digest).cloned();
        if let Some(schema) = known {
            return Ok(schema);
        }
        let description = self.describe(feature, Some(&profile.revision)).await?;
        let damaged = |e: arrow::error::ArrowError| Error::corrupt(format!("describe {feature}: its schema cannot be read: {e}"));
        let schema = StreamReader::try_new(description.arrow_schema.as_ref(), None).map_err(damaged)?.schema();
        if schema::digest(&schema) != profile.schema_digest {
            return Err(Error::corrupt(format!("describe {feature}: the schema is not the one that the reply names")));
        }
        self.schemas.lock().insert(profile.schema_digest.clone(), schema.clone());
        Ok(schema)
    }
}

pub(crate) fn endpoint(address: &str, timeout: Duration) -> Result<Endpoint> {
    Ok(Endpoint::from_shared(address.to_owned())
        .map_err(|e| Error::invalid(format!("{address} is no address: {e}; write http://host:port")))?
        .connect_timeout(timeout)
        .timeout(timeout)
        .tcp_nodelay(true))
}

pub(crate) fn trusting(endpoint: Endpoint, trust: &Trust) -> Result<Endpoint> {
    endpoint.tls_config(trust.config()).map_err(|e| Error::invalid("use certificates: they cannot be used").with_source(e))
}

pub(crate) async fn connect(endpoint: Endpoint) -> Result<Channel> {
    let address = endpoint.uri().clone();
    let nobody = || format!("connect to {address}: nobody answers there, or does not trust us, or is not trusted");
    endpoint.connect().await.map_err(|e| Error::new(ErrorKind::Unavailable, nobody()).with_source(e))
}

fn missing(what: &str) -> Error {
    Error::corrupt(format!("read reply: {what} is missing; the server is of another version"))
}
