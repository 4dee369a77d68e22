//! Somebody who reads a feature all the time, whatever happens to what serves it.

use tress_engine::entity::Entity;
use tress_engine::serve::{Client, Wanted};

use crate::steadily::Steadily;

/// Reads one sequence, again and again, over one connection.
pub struct Reading(Steadily);

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
        let mut steadily = Steadily::default();
        steadily.look(move || {
            let of = of.clone();
            async move {
                match of.rows().await? {
                    rows if rows >= least => Ok(()),
                    rows => Err(format!("{}: {rows} events of at least {least}", of.feature)),
                }
            }
        });
        Self(steadily)
    }

    /// How often there was a right answer so far.
    pub fn answered(&self) -> usize {
        self.0.right()
    }

    /// Ends it. Every read had to be answered, and there had to be reads.
    pub async fn end(self) {
        self.0.end(20).await;
    }
}
