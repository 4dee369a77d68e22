//! Somebody who reads a feature all the time, whatever happens to what serves it.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tress_engine::entity::Entity;
use tress_engine::serve::{Client, Wanted};

/// A few pods of two cores answer it beside all else.
const PAUSE: Duration = Duration::from_millis(40);

/// Reads one sequence, again and again, over one connection.
pub struct Reading {
    of: Of,
    answered: Arc<AtomicUsize>,
    ended: CancellationToken,
    task: JoinHandle<Vec<String>>,
}

/// What is read.
#[derive(Clone)]
pub struct Of {
    pub client: Client,
    /// `namespace/name`.
    pub feature: String,
    pub entity: String,
}

impl Of {
    /// How many events the sequence has, or why there is no answer.
    pub async fn rows(&self) -> Result<usize, String> {
        let entity = Entity::String(self.entity.clone());
        let reply = self.client.get(&self.feature, &entity, &Wanted::default()).await;
        reply.map(|reply| reply.rows.num_rows()).map_err(|e| e.to_string())
    }
}

impl Reading {
    /// Begins. No answer may have fewer than `least` events.
    pub fn begin(of: Of, least: usize) -> Self {
        let (answered, ended) = (Arc::<AtomicUsize>::default(), CancellationToken::new());
        let (counted, until, reads) = (Arc::clone(&answered), ended.clone(), of.clone());
        let task = tokio::spawn(async move {
            let mut wrong = Vec::new();
            while !until.is_cancelled() {
                match reads.rows().await {
                    Ok(rows) if rows >= least => drop(counted.fetch_add(1, Ordering::Relaxed)),
                    Ok(rows) => wrong.push(format!("{rows} events of at least {least}")),
                    Err(why) => wrong.push(why),
                }
                tokio::time::sleep(PAUSE).await;
            }
            wrong
        });
        Self { of, answered, ended, task }
    }

    /// How often there was a right answer so far.
    pub fn answered(&self) -> usize {
        self.answered.load(Ordering::Relaxed)
    }

    /// Ends it. Every read had to be answered, and there had to be reads.
    pub async fn end(self) {
        self.ended.cancel();
        let wrong = self.task.await.expect("it reads");
        let answered = self.answered.load(Ordering::Relaxed);
        assert_eq!(wrong, Vec::<String>::new(), "of {} beside {answered} right answers", self.of.feature);
        assert!(answered > 20, "only {answered} reads");
    }
}
