//! A `runtime.command` that calls the wrapper again.

use crate::case::Case;
use crate::machine::Machine;
use crate::support::{OCI_LINK, Runtime};
use crate::way::Way;
use std::process::Command;
use std::time::Duration;

/// A wrapper that calls itself without end is killed after this time.
const SOON: Duration = Duration::from_secs(3);
/// The scripts below stop by themselves after as many rounds.
const BOUND: usize = 20;
/// Their status then.
const STOPPED: u8 = 99;

/// The runtime of config.toml is `program`, and /run/broken/below is a script that does `below`. The
/// wrapper has to refuse `command` before its second round is over.
fn refused_soon(
    machine: &Machine,
    program: &str,
    below: &str,
    command: &str,
) -> Result<(), String> {
    let script = format!("below '{below}'; config '[runtime]' \"command = \\\"{program}\\\"\"");
    let bound = BOUND.to_string();
    machine.shell(&script, &[("OCI_LINK", OCI_LINK), ("BOUND", &bound)]);
    let mut call = Command::new(Way::Configured.program(machine));
    call.args([command, "x"]).current_dir(machine.host.path("bundles/case"));
    let ran = machine.run(&mut call, "", SOON);
    let rounds = machine.shell("wc -l </run/broken/rounds", &[]);
    let rounds: usize = rounds.trim().parse().expect("a number");
    machine.shell("repair", &[]);
    let (status, said) = (&ran.status, ran.stderr());
    let code: Option<u8> = status.parse().ok();
    let ours = said.lines().any(|line| line.starts_with("oci-link:"));
    if rounds <= 2 && ours && !matches!(code, None | Some(0 | STOPPED)) {
        return Ok(());
    }
    Err(format!("{command} by {program}, {below}: {rounds} rounds, status {status}: {said}"))
}

#[test]
#[ignore = "minutes: make test-harmless"]
fn h18_a_runtime_that_calls_the_wrapper_again_is_refused() {
    const SCRIPT: &str = "/run/broken/below";
    let machine = Machine::new(Runtime::Runc);
    let _bundle = Case::plain().build(&machine, Way::Configured, |_| {});
    let _ = Way::Configured.program(&machine);
    let mut failed = Vec::new();
    for (program, below) in [
        (SCRIPT, "exec $D/oci-link-runtime \"$@\""),
        (SCRIPT, "$D/oci-link-runtime \"$@\""),
        (SCRIPT, "exec env -i $D/oci-link-runtime \"$@\""),
        (SCRIPT, "setsid -w $D/oci-link-runtime \"$@\""),
        (SCRIPT, "exec $OCI_LINK runtime \"$@\""),
        (SCRIPT, "exec $D/copy/oci-link-runtime \"$@\""),
        (SCRIPT, "exec sh -c \"exec $D/oci-link-runtime \\\"\\$@\\\"\" sh \"$@\""),
        ("$D/oci-link-runtime", "true"),
        ("$D/copy/oci-link-runtime", "true"),
    ] {
        for command in ["state", "create", "start", "delete", "kill"] {
            failed.extend(refused_soon(&machine, program, below, command).err());
        }
    }
    assert!(failed.is_empty(), "{} fail:\n{}", failed.len(), failed.join("\n"));
}

/// The second program is another one, so that this ends.
#[test]
#[ignore = "minutes: make test-harmless"]
fn h18_a_script_may_choose_another_wrapper() {
    let machine = Machine::new(Runtime::Runc);
    let case = &mut Case::plain();
    let _bundle = case.build(&machine, Way::Configured, |_| {});
    let _ = (Way::Configured.program(&machine), Way::Wrapper.program(&machine));
    let below = "below 'exec $D/oci-link-runc \"$@\"'";
    let config = "config '[runtime]' 'command = \"/run/broken/below\"'";
    machine.shell(&format!("{below}; {config}"), &[("OCI_LINK", OCI_LINK), ("BOUND", "99")]);
    let call = |words: &[&str]| case.call((&machine, Way::Configured), words, "stay\n");
    for words in [
        &["create", "--bundle", &case.bundle, "case"][..],
        &["state", "case"],
        &["start", "case"],
        &["delete", "--force", "case"],
    ] {
        let ran = call(words);
        assert_eq!(ran.status, "0", "{words:?}: {}", ran.stderr());
    }
}
