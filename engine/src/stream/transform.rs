//! From raw records to rows: the one step of a stream that knows the signal.

use std::sync::Arc;

use async_trait::async_trait;

use crate::decode::Decoder;
use crate::error::Result;
use crate::log::Record;
use crate::pipeline::{Pipeline, Processed};

/// Turns records of one raw partition into rows. What happens to a record is what would happen to it alone.
#[async_trait]
pub trait Transform: Send + Sync + std::fmt::Debug {
    /// # Errors
    /// `Unavailable` for what may work later (a lookup that does not answer); anything else stops the stream.
    async fn transform(&self, partition: i32, records: &[Record]) -> Result<Processed>;
}

/// Decodes by the plan's format, then runs the pipeline.
#[derive(Debug)]
pub struct DecodeAndRun {
    decoder: Arc<Decoder>,
    pipeline: Pipeline,
}

impl DecodeAndRun {
    /// Both of one plan.
    #[must_use]
    pub const fn new(decoder: Arc<Decoder>, pipeline: Pipeline) -> Self {
        Self { decoder, pipeline }
    }
}

#[async_trait]
impl Transform for DecodeAndRun {
    async fn transform(&self, partition: i32, records: &[Record]) -> Result<Processed> {
        self.pipeline.process(&self.decoder.decode_records(partition, records).await?, 0).await
    }
}
