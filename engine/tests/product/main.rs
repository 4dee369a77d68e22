//! The properties that define the product, against a naive oracle over all raw event versions.

mod batch;
mod definitions;
mod identity;
mod oracle;
mod parts;
mod read;
mod runs;
mod values;
mod whole;
mod world;

use proptest::test_runner::Config;

/// So many random cases, unless `PROPTEST_CASES` says otherwise. A failure prints its shrunk input; nothing is written beside the tests.
fn cases(number: u32) -> Config {
    let config = Config { failure_persistence: None, ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_some() { config } else { Config { cases: number, ..config } }
}
