//! What the wrapper costs a command that it only passes on: `state`, `kill`, `exec`. The "runtime"
//! is the program that does nothing.

use crate::{
    place::Place,
    report::{NOTHING, Report, Target},
    sample::{Series, command},
};
use std::fs;

const ROUNDS: usize = 200;
/// The target: as much again as the runtime's own start, at most, were the runtime nothing.
const WRAPPED: f64 = 2.0;

pub(crate) fn measure(place: &Place, report: &mut Report) {
    let config = place.directory("passed").join("config.toml");
    let text = format!("[runtime]\ncommand = \"{}\"\n", place.noop.display());
    fs::write(&config, text).expect("config.toml is written");
    let (mut nothing, mut wrapped) = (Series::default(), Series::default());
    for _ in 0..ROUNDS {
        nothing.measure(command(&place.noop).args(["state", "web"]));
        let runtime = command(&place.oci_link).args(["--config"]).args([&config]);
        wrapped.measure(runtime.args(["runtime", "state", "web"]));
    }
    report.section("A command that is passed on", NOTHING, &nothing);
    let target = Target::at_most(WRAPPED, wrapped.median() / nothing.median(), "");
    report.row("the same, through the wrapper", &wrapped, Some(target));
}
