//! Listings that begin after a path, of servers that may not know how.
//!
//! Azure's listings begin at a name since a late version of its protocol (`startFrom`). A server that does not know it lists from the
//! beginning and says nothing, and the client hands that on. Delta looks for commits after the newest that it knows: it would take old
//! ones for new ones, and never commit.

use std::ops::Range;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt, future};
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload,
    PutResult, Result,
};

/// `S`, which lists nothing up to the path after which a listing begins.
#[derive(Debug)]
pub struct ListedAfter<S>(pub S);

impl<S: ObjectStore> std::fmt::Display for ListedAfter<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.0, f)
    }
}

#[async_trait]
impl<S: ObjectStore> ObjectStore for ListedAfter<S> {
    async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, opts).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.0.get_opts(location, options).await
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(location, ranges).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    fn list_with_offset(&self, prefix: Option<&Path>, offset: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
        let after = offset.clone();
        // A server that knows it has left out the most already.
        self.0.list_with_offset(prefix, offset).try_filter(move |found| future::ready(found.location > after)).boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use object_store::ObjectStoreExt;
    use object_store::memory::InMemory;

    /// A store that lists from the beginning, whatever it is asked.
    #[derive(Debug)]
    struct FromTheBeginning(InMemory);

    impl std::fmt::Display for FromTheBeginning {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            std::fmt::Display::fmt(&self.0, f)
        }
    }

    #[async_trait]
    impl ObjectStore for FromTheBeginning {
        async fn put_opts(&self, location: &Path, payload: PutPayload, opts: PutOptions) -> Result<PutResult> {
            self.0.put_opts(location, payload, opts).await
        }

        async fn put_multipart_opts(&self, location: &Path, opts: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
            self.0.put_multipart_opts(location, opts).await
        }

        async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
            self.0.get_opts(location, options).await
        }

        fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
            self.0.delete_stream(locations)
        }

        fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
            self.0.list(prefix)
        }

        fn list_with_offset(&self, prefix: Option<&Path>, _: &Path) -> BoxStream<'static, Result<ObjectMeta>> {
            self.0.list(prefix)
        }

        async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
            self.0.list_with_delimiter(prefix).await
        }

        async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
            self.0.copy_opts(from, to, options).await
        }
    }

    #[tokio::test]
    async fn nothing_up_to_the_path_is_listed_though_the_server_begins_at_the_beginning() {
        let store = FromTheBeginning(InMemory::new());
        for version in 0..5 {
            store.put(&Path::from(format!("table/_delta_log/{version:020}.json")), "{}".into()).await.unwrap();
        }
        let after = Path::from(format!("table/_delta_log/{:020}.json", 2));
        let names = async |store: &dyn ObjectStore| -> Vec<String> {
            let found: Vec<_> = store.list_with_offset(Some(&Path::from("table")), &after).try_collect().await.unwrap();
            found.iter().filter_map(|f| f.location.filename()).map(|name| name.trim_start_matches('0').to_owned()).collect()
        };
        assert_eq!(names(&store).await.len(), 5, "what is to be mended");
        assert_eq!(names(&ListedAfter(store)).await, ["3.json", "4.json"]);
    }
}
