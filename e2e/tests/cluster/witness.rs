//! Somebody who reads all the time, from every pod: each answer must be one that is right at that moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::RwLock;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tress_engine::serve::Client;

use crate::site::Site;

/// What may be read; more than one thing while a change is on its way.
type Right = Arc<RwLock<Vec<Vec<i64>>>>;

pub struct Witness {
    right: Right,
    answers: Arc<AtomicUsize>,
    stop: CancellationToken,
    tasks: JoinSet<Vec<String>>,
}

impl Witness {
    /// Reads a user's sequence of a feature. `right`: its items.
    pub fn begin(pods: Vec<Client>, feature: &str, user: &str, right: &[i64]) -> Self {
        assert!(!pods.is_empty(), "somebody serves");
        let right: Right = Arc::new(RwLock::new(vec![right.to_vec()]));
        let (answers, stop, mut tasks) = (Arc::<AtomicUsize>::default(), CancellationToken::new(), JoinSet::new());
        for (pod, client) in pods.into_iter().enumerate() {
            let (right, answers, stop) = (Arc::clone(&right), Arc::clone(&answers), stop.clone());
            let (feature, user) = (feature.to_owned(), user.to_owned());
            tasks.spawn(async move {
                let mut wrong = Vec::new();
                while !stop.is_cancelled() && wrong.len() < 10 {
                    let may_be = right.read().await;
                    match Site::items(&client, &feature, &user).await {
                        Ok(items) if may_be.contains(&items) => {
                            answers.fetch_add(1, Ordering::Relaxed);
                        }
                        Ok(items) => wrong.push(format!("pod {pod}: {items:?}, and right is {may_be:?}")),
                        Err(e) => wrong.push(format!("pod {pod}: refused: {e}")),
                    }
                    drop(may_be);
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                wrong
            });
        }
        Self { right, answers, stop, tasks }
    }

    /// From now on this is right, too.
    pub async fn and(&self, items: &[i64]) {
        self.right.write().await.push(items.to_vec());
    }

    /// From now on nothing else is right.
    pub async fn only(&self, items: &[i64]) {
        *self.right.write().await = vec![items.to_vec()];
    }

    /// Every answer was right, and there were many.
    pub async fn end(self) {
        self.stop.cancel();
        let wrong: Vec<String> = self.tasks.join_all().await.into_iter().flatten().collect();
        assert_eq!(wrong, Vec::<String>::new());
        let answers = self.answers.load(Ordering::Relaxed);
        assert!(answers > 100, "it was read all the time: {answers}");
    }
}
