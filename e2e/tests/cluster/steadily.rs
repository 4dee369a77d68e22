//! A look that is taken again and again until it is ended: each one has to find what is right.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// A few pods of two cores answer it beside all else.
const PAUSE: Duration = Duration::from_millis(40);

#[derive(Default)]
pub struct Steadily {
    right: Arc<AtomicUsize>,
    ended: CancellationToken,
    tasks: JoinSet<Vec<String>>,
}

impl Steadily {
    /// Begins to look, beside what is looked at already. `look` says what is wrong.
    pub fn look<Looked>(&mut self, look: impl Fn() -> Looked + Send + 'static)
    where
        Looked: Future<Output = Result<(), String>> + Send,
    {
        let (right, ended) = (Arc::clone(&self.right), self.ended.clone());
        self.tasks.spawn(async move {
            let mut wrong = Vec::new();
            while !ended.is_cancelled() {
                match look().await {
                    Ok(()) => drop(right.fetch_add(1, Ordering::Relaxed)),
                    Err(why) => wrong.push(why),
                }
                tokio::time::sleep(PAUSE).await;
            }
            wrong
        });
    }

    /// How often all was right so far.
    pub fn right(&self) -> usize {
        self.right.load(Ordering::Relaxed)
    }

    /// Ends it. Nothing was ever wrong, and it was looked at more than `least` times.
    pub async fn end(self, least: usize) {
        self.ended.cancel();
        let wrong: Vec<String> = self.tasks.join_all().await.into_iter().flatten().collect();
        let right = self.right.load(Ordering::Relaxed);
        assert_eq!(wrong, Vec::<String>::new(), "beside {right} right answers");
        assert!(right > least, "only {right} right answers");
    }
}
