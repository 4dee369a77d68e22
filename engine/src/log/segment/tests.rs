use super::*;
use crate::clock::FixedClock;
use crate::log::conformance::{self, Restart};

#[derive(Debug)]
struct Folder(tempfile::TempDir, Settings);

impl Folder {
    fn new(segment_bytes: u64) -> Self {
        Self(tempfile::tempdir().unwrap(), Settings { sync: Sync::OnlyOrder, segment_bytes })
    }

    fn log(&self) -> Result<LocalLog> {
        LocalLog::open_with(self.0.path(), Arc::new(FixedClock::new(5_000_000)), self.1)
    }
}

#[async_trait]
impl Restart for Folder {
    async fn open(&self) -> Arc<dyn Log> {
        Arc::new(self.log().unwrap())
    }
}

#[tokio::test]
async fn the_local_log_keeps_the_contract() {
    conformance::keeps_the_contract(&Folder::new(64 << 20)).await;
}

#[tokio::test]
async fn the_local_log_keeps_the_contract_with_tiny_segments_and_every_append_forced() {
    let mut folder = Folder::new(300);
    folder.1.sync = Sync::EveryAppend;
    conformance::keeps_the_contract(&folder).await;
}
