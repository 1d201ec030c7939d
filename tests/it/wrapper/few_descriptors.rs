//! A caller that may open few files only.

use crate::support::{Container, Host, Outcome, each_runtime};
use std::process::Command;

/// Runs `command` of the runtime with at most `limit` descriptors.
fn limited(host: &Host, limit: u32, mut words: Vec<String>, by: &Command) -> Outcome {
    let script = format!("ulimit -n {limit}; exec \"$@\"");
    let mut line = vec![by.get_program().to_string_lossy().into_owned()];
    line.extend(by.get_args().map(|word| word.to_string_lossy().into_owned()));
    line.append(&mut words);
    host.run(Command::new("sh").args(["-c", &script, "sh"]).args(line))
}

/// The outcome of `command` for a container that `begin` has brought so far.
fn outcome(host: &Host, limit: u32, command: &[&str], by: &Command) -> Outcome {
    let db = host.container("db").number(11).build();
    begin(&db, command[0]);
    let words = command.iter().map(ToString::to_string).chain(["db".to_owned()]).collect();
    let outcome = limited(host, limit, words, by);
    let _ = db.delete_by_force();
    outcome
}

fn begin(container: &Container<'_>, command: &str) {
    container.create().ok();
    if command == "delete" {
        container.start().ok();
        container.kill();
    }
}

each_runtime! {
    /// With as few descriptors as the runtime itself needs, the wrapper passes too.
    fn the_wrapper_needs_no_more_than_the_runtime(runtime) {
        let host = Host::open(runtime).wrapped();
        let mut plain = Command::new(runtime.program());
        plain.arg("--root").arg(host.path("root"));
        let wrapped = host.runtime(&[]);
        for command in [&["start"][..], &["delete"], &["delete", "--force"], &["state"]] {
            let passes = |limit: &u32| outcome(&host, *limit, command, &plain).succeeded();
            let least = (4..32).find(passes).expect("enough descriptors");
            outcome(&host, least, command, &wrapped).ok();
        }
    }
}
