//! The harness itself: a plain container passes in a healthy environment, and a difference is noticed.

use crate::compare::differences;
use crate::ends::end_in;
use crate::environments::ENVIRONMENTS;
use crate::life::live;
use crate::machine::{HANGS, Machine};

use crate::support::{Runtime, each_runtime};
use crate::way::Way;
use std::process::Command;
use std::time::Duration;

each_runtime! {
    fn a_plain_container_passes(runtime) {
        let without = live(&Machine::new(runtime), Way::Direct, |_| {}, None);
        let lives = without.iter().take_while(|step| step.what != "kill");
        for step in lives {
            let status = if step.what == "run" { ["7", "7"] } else { ["0", ""] };
            assert!(status.contains(&step.status.as_str()), "{}: {}", step.what, step.stderr);
        }
        for way in [Way::Direct, Way::Wrapper, Way::Hooks] {
            let with = live(&Machine::new(runtime), way, |_| {}, None);
            assert_eq!(differences(&without, &with), [""; 0], "{way:?}");
        }
    }

    fn containers_with_and_without_links_end(runtime) {
        let healthy = &ENVIRONMENTS[0];
        let without = end_in(&Machine::new(runtime), Way::Direct, healthy);
        for way in [Way::Direct, Way::Wrapper, Way::Hooks] {
            let with = end_in(&Machine::new(runtime), way, healthy);
            assert_eq!(differences(&without, &with), [""; 0], "{way:?}");
        }
    }

    fn a_refusal_is_noticed(runtime) {
        let without = live(&Machine::new(runtime), Way::Direct, |_| {}, None);
        let machine = Machine::new(runtime);
        let wrapper = format!(
            "printf '#!/bin/sh\\necho oci-link: no >&2\\nexit 3\\n' >$D/oci-link-{0}; \
             chmod 755 $D/oci-link-{0}",
            runtime.program()
        );
        machine.shell(&wrapper, &[]);
        let found = differences(&without, &live(&machine, Way::Wrapper, |_| {}, None));
        let first = "run: status \"3\" instead of \"7\" (oci-link: no)";
        assert_eq!(found.first().map(String::as_str), Some(first), "{found:?}");
    }

    fn what_breaks_is_repaired_and_stays_on_the_machine(runtime) {
        let machine = Machine::new(runtime);
        machine.shell("hide_state; mkfifo /run/oci-link; hold /run/kept/lock; log /dev/full", &[]);
        machine.shell("replace_iptables \"$(failing)\"; ! iptables -S", &[]);
        let listed = machine.host.run(Command::new("ls").args(["-d", "/run/kept"]));
        assert!(!listed.succeeded(), "/run of the host has changed");
        assert!(!machine.host.rules().is_empty(), "iptables of the host has changed");
        machine.shell("repair; iptables -S; test -d /run/oci-link; flock -n /run/oci-link/lock true", &[]);
    }
}

#[test]
fn a_command_that_hangs_is_killed() {
    let machine = Machine::new(Runtime::Runc);
    let mut sleep = Command::new("sleep");
    let ran = machine.run(sleep.arg("600"), "", Duration::from_millis(50));
    assert!(ran.status.starts_with(HANGS), "{}", ran.status);
}
