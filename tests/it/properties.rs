//! What holds for every input: proptest makes a few hundred of each kind, and of one that fails the
//! smallest that does. No file of earlier failures is kept: what was found once has a test by name.

mod env;
mod hosts;

use proptest::test_runner::Config;

fn cases(cases: u32) -> Config {
    Config { cases, failure_persistence: None, ..Config::default() }
}
