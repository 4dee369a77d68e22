//! The targets of `engine/tests/fuzz`, fed by libFuzzer: the same code, with inputs that coverage has led to.
#![allow(dead_code, reason = "the parts that run the bounded tests are not used here")]

#[path = "../../engine/tests/fuzz/avro.rs"]
mod avro;
#[path = "../../engine/tests/fuzz/definitions.rs"]
mod definitions;
#[path = "../../engine/tests/fuzz/mutate.rs"]
mod mutate;
#[path = "../../engine/tests/fuzz/rows.rs"]
mod rows;
#[path = "../../engine/tests/fuzz/run.rs"]
mod run;
#[path = "../../engine/tests/kills/scenario.rs"]
mod scenario;
#[path = "../../engine/tests/fuzz/serving.rs"]
mod serving;
#[path = "../../engine/tests/fuzz/stored.rs"]
mod stored;

use std::cell::RefCell;

thread_local! {
    static TARGET: RefCell<Option<run::Target>> = const { RefCell::new(None) };
}

/// Feeds a target; a process has one.
pub fn feed(name: &str, input: &[u8]) {
    TARGET.with_borrow_mut(|target| {
        let target = target.get_or_insert_with(|| run::target(name).0);
        target(&mut mutate::Random::given(input), &mut |_| {});
    });
}
