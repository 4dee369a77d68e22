//! What the process that is killed does: the same steps each time.

pub const FEATURES: [&str; 3] = ["recent", "liked", "all"];

/// One step. Each may be begun, killed, and begun again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The definitions, with `recent` of this length.
    Apply(u32),
    /// The batch with this number.
    Append(u64),
    /// Every feature of every user, when all that was appended can be read.
    Read,
    Fold,
    Restate,
    /// The tail to the lake, the changelog trimmed, and what nothing refers to deleted.
    Keep,
    /// Stopped in good order, and opened again.
    Restart,
}

/// All steps. Every fault point is reached five times on the way.
pub fn steps() -> Vec<Step> {
    use Step::{Append, Apply, Fold, Keep, Read, Restart, Restate};
    vec![
        Apply(2),
        Append(0),
        Read,
        Fold,
        Append(1),
        Keep, //
        Apply(5),
        Append(2),
        Keep,
        Fold,
        Append(3),
        Read, //
        Restart,
        Append(4),
        Fold,
        Keep,
        Apply(8),
        Append(5),
        Restate,
        Append(6),
        Keep, //
        Apply(12),
        Read,
        Fold,
        Append(7),
        Keep,
        Fold,
        Append(8),
        Read,
    ]
}

/// The length of `recent` after the last step.
pub fn last_length() -> usize {
    let mut lengths = steps().into_iter().filter_map(|s| if let Step::Apply(length) = s { Some(length as usize) } else { None });
    lengths.next_back().expect("definitions are applied")
}

/// How many batches are appended in all.
pub fn batches() -> u64 {
    steps().iter().filter(|s| matches!(s, Step::Append(_))).count() as u64
}
