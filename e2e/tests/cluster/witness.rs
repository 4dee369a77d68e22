//! Somebody who reads all the time, from every pod: each answer must be one that is right at that moment.

use std::sync::Arc;

use tokio::sync::RwLock;
use tress_engine::serve::Client;

use crate::site::Site;
use crate::steadily::Steadily;

/// What may be read; more than one thing while a change is on its way.
type Right = Arc<RwLock<Vec<Vec<i64>>>>;

pub struct Witness {
    right: Right,
    steadily: Steadily,
}

impl Witness {
    /// Reads a user's sequence of a feature. `right`: its items.
    pub fn begin(pods: Vec<Client>, feature: &str, user: &str, right: &[i64]) -> Self {
        assert!(!pods.is_empty(), "somebody serves");
        let right: Right = Arc::new(RwLock::new(vec![right.to_vec()]));
        let mut steadily = Steadily::default();
        for (pod, client) in pods.into_iter().enumerate() {
            let what = (Arc::clone(&right), client, feature.to_owned(), user.to_owned());
            steadily.look(move || {
                let (right, client, feature, user) = what.clone();
                async move {
                    let may_be = right.read().await;
                    match Site::items(&client, &feature, &user).await {
                        Ok(items) if may_be.contains(&items) => Ok(()),
                        Ok(items) => Err(format!("pod {pod}: {items:?}, and right is {may_be:?}")),
                        Err(e) => Err(format!("pod {pod}: refused: {e}")),
                    }
                }
            });
        }
        Self { right, steadily }
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
        self.steadily.end(100).await;
    }
}
