//! Admission by bytes: a request is let in only while what all of them may hold fits the budget.

use std::sync::Arc;

use arrow::datatypes::{DataType, Field};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::encode::fixed_width;
use super::refusal::{Code, Refusal};

/// Budgets are counted in units, because a semaphore's permits are 32-bit.
const UNIT: usize = 1024;
/// What a reply costs beside its rows.
const PER_SEQUENCE: usize = 256;

/// How many bytes replies under way may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    pub reply_bytes: usize,
    /// Reads of history may hold so much more: few and slow, they must neither fill the memory nor keep out the fast.
    pub history_bytes: usize,
}

impl Default for Budgets {
    fn default() -> Self {
        Self { reply_bytes: 512 << 20, history_bytes: 64 << 20 }
    }
}

/// What is charged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Budget {
    /// By every reply, until it is encoded.
    Replies,
    /// By a read of history, until it has its answer.
    History,
}

/// The gate. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Admission {
    replies: Gate,
    history: Gate,
}

#[derive(Debug, Clone)]
struct Gate {
    units: Arc<Semaphore>,
    whole: usize,
}

/// Leave to hold that many bytes, given back when dropped.
#[derive(Debug)]
pub struct Permit {
    _permit: OwnedSemaphorePermit,
}

impl Admission {
    #[must_use]
    pub fn new(budgets: Budgets) -> Self {
        Self { replies: Gate::new(budgets.reply_bytes), history: Gate::new(budgets.history_bytes) }
    }

    /// Lets a request in that may hold so many bytes. Never waits: who is refused can try another server.
    ///
    /// # Errors
    /// `ResourceExhausted` when the request is larger than the whole budget, or others hold it.
    pub fn admit(&self, budget: Budget, bytes: usize) -> Result<Permit, Refusal> {
        let (gate, which) = match budget {
            Budget::Replies => (&self.replies, "reads"),
            Budget::History => (&self.history, "reads of history"),
        };
        let units = bytes.div_ceil(UNIT).max(1);
        if units > gate.whole {
            return Err(Refusal::new(
                Code::ResourceExhausted,
                "limit",
                format!("the reply may need {bytes} bytes, more than this server has for {which}"),
                "ask for fewer rows, columns or entities",
            ));
        }
        let busy = || Refusal::new(Code::ResourceExhausted, "", format!("too many {which} are under way"), "try again later, or elsewhere");
        let permits = u32::try_from(units).map_err(|_| busy())?;
        let permit = gate.units.clone().try_acquire_many_owned(permits).map_err(|_| busy())?;
        Ok(Permit { _permit: permit })
    }
}

impl Admission {
    /// Bytes that reads of history hold.
    #[must_use]
    pub fn history_in_use(&self) -> usize {
        self.history.whole.saturating_sub(self.history.units.available_permits()) * UNIT
    }
}

impl Gate {
    fn new(bytes: usize) -> Self {
        let whole = (bytes / UNIT).min(u32::MAX as usize).min(Semaphore::MAX_PERMITS);
        Self { units: Arc::new(Semaphore::new(whole)), whole }
    }
}

/// What a sequence of so many rows may need.
pub fn sequence_bytes(row_bytes: usize, rows: usize) -> usize {
    row_bytes.saturating_mul(rows).saturating_add(PER_SEQUENCE)
}

/// What a value of this column may need, on average: exact for fixed width, a guess for the rest.
pub fn value_bytes(field: &Field) -> usize {
    type_bytes(field.data_type()) + 1
}

fn type_bytes(data_type: &DataType) -> usize {
    const TEXT: usize = 32;
    const ITEMS: usize = 4;
    match data_type {
        DataType::Boolean => 1,
        DataType::Utf8 | DataType::Binary => TEXT + 4,
        DataType::List(item) => ITEMS * type_bytes(item.data_type()) + 4,
        DataType::Struct(fields) => fields.iter().map(|f| value_bytes(f)).sum(),
        DataType::Dictionary(_, values) => type_bytes(values),
        other => fixed_width(other).unwrap_or(TEXT),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_budget_is_shared_and_given_back() {
        let admission = Admission::new(Budgets { reply_bytes: 10 * UNIT, history_bytes: 2 * UNIT });
        let first = admission.admit(Budget::Replies, 6 * UNIT).expect("there is room");
        assert_eq!(admission.admit(Budget::Replies, 5 * UNIT).map_err(|r| r.code).err(), Some(Code::ResourceExhausted));
        let deep = admission.admit(Budget::History, 2 * UNIT).expect("history has its own");
        assert!(admission.admit(Budget::History, 1).is_err());
        drop((first, deep));
        admission.admit(Budget::Replies, 10 * UNIT).expect("given back");
    }

    #[test]
    fn what_never_fits_is_told_to_ask_for_less() {
        let refusal =
            Admission::new(Budgets { reply_bytes: UNIT, history_bytes: 0 }).admit(Budget::Replies, 2 * UNIT).expect_err("too large");
        assert_eq!((refusal.code, refusal.field.as_str()), (Code::ResourceExhausted, "limit"));
    }
}
