//! How many instructions a start takes: the figure that no other load of the machine changes. And
//! which: for `make layout`.
//!
//! The hook is led through its program one instruction at a time. Counted is what it does itself:
//! neither the kernel nor `iptables-restore`. (Virtual machines have no counters for it as a rule,
//! and Debian 12's valgrind does not know `pidfd_open`, without which no hook does anything.)

use crate::{
    once::{Phase, hooks},
    place::Place,
    report::{NOTHING, Report},
    sample::{Sample, command},
    walk::walk,
};
use nix::{libc::user_regs_struct, sys::ptrace::getregs};
use std::{collections::HashSet, fmt::Write, fs, path::Path};

pub(crate) fn measure(place: &Place, report: &mut Report) {
    report.section_of_instructions("Instructions of a createRuntime");
    let nothing = count(command(&place.noop));
    report.instructions(NOTHING, nothing, nothing);
    hooks(place, "instructions", |backend, phase, hook| match phase {
        Phase::Start => report.instructions(backend, count(hook), nothing),
        Phase::End => _ = hook.run(),
    });
}

/// Writes the addresses that hooks are at into `file`, each once, in the order in which they get
/// there.
pub(crate) fn record(place: &Place, file: &Path) {
    let (mut known, mut text) = (HashSet::new(), String::new());
    hooks(place, "layout", |_, _, hook| {
        walk(hook, |process| {
            let address = address(&getregs(process).expect("registers are read"));
            if known.insert(address) {
                writeln!(text, "{address:016x}").expect("a string grows");
            }
        });
    });
    fs::write(file, text).expect("addresses are written");
}

fn address(registers: &user_regs_struct) -> u64 {
    #[cfg(target_arch = "x86_64")]
    return registers.rip;
    #[cfg(not(target_arch = "x86_64"))]
    return registers.pc;
}

fn count(hook: Sample) -> u64 {
    let mut steps = 0;
    walk(hook, |_| steps += 1);
    steps
}
