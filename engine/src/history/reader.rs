//! Parquet files in an object store, read by ranges.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryFutureExt};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::ArrowReaderOptions;
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader};

use crate::error::Error;

/// Enough for the footer and page indexes of a small file: one request instead of two or three.
const FOOTER_HINT: usize = 64 * 1024;

/// A file of a known size.
#[derive(Debug, Clone)]
pub struct ObjectReader {
    pub store: Arc<dyn ObjectStore>,
    pub path: Path,
    /// Bytes.
    pub size: u64,
}

impl AsyncFileReader for ObjectReader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes>> {
        self.store.get_range(&self.path, range).map_err(outside).boxed()
    }

    fn get_byte_ranges(&mut self, ranges: Vec<Range<u64>>) -> BoxFuture<'_, Result<Vec<Bytes>>> {
        async move { self.store.get_ranges(&self.path, &ranges).await.map_err(outside) }.boxed()
    }

    fn get_metadata<'a>(&'a mut self, options: Option<&'a ArrowReaderOptions>) -> BoxFuture<'a, Result<Arc<ParquetMetaData>>> {
        async move {
            let size = self.size;
            let hint = usize::try_from(size).unwrap_or(FOOTER_HINT).min(FOOTER_HINT);
            let reader = ParquetMetaDataReader::new().with_arrow_reader_options(options).with_prefetch_hint(Some(hint));
            Ok(Arc::new(reader.load_and_finish(self, size).await?))
        }
        .boxed()
    }
}

fn outside(e: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(e))
}

/// An error of reading a file: of the store, if that is where it comes from, or of the file.
pub fn error(e: ParquetError) -> Error {
    match e {
        ParquetError::External(cause) => match cause.downcast::<object_store::Error>() {
            Ok(store) => Error::from(*store),
            Err(other) => Error::corrupt("a Parquet file cannot be read").with_source(other),
        },
        e => e.into(),
    }
}
