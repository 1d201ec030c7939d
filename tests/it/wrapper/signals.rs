//! A signal to the wrapper's process is meant for the container.

use super::both;
use super::foreground::{Foreground, run};
use crate::support::{Host, Runtime, each_runtime};
use nix::sys::signal::Signal;
use std::process::Stdio;

/// As the first process of a pid namespace it is only sent what it waits for.
const CATCHER: &str = "trap 'echo TERM; exit 9' TERM; trap 'echo INT; exit 8' INT; \
    trap 'echo HUP' HUP; echo ready; while :; do sleep 0.05; done";

/// A program that any signal ends: one among the host's processes.
fn mortal(host: &Host) -> crate::support::Container<'_> {
    let bundle = host.container("c").script("echo ready; exec sleep 60").edit(|config| {
        let namespaces = config["linux"]["namespaces"].as_array_mut().expect("a list");
        namespaces.retain(|namespace| namespace["type"] != "pid");
    });
    bundle.build()
}

each_runtime! {
    fn what_is_sent_to_us_reaches_the_container(runtime) also youki {
        for (signals, said, status) in [
            (&[Signal::SIGTERM][..], "ready\nTERM\n", 9),
            (&[Signal::SIGINT], "ready\nINT\n", 8),
            (&[Signal::SIGHUP, Signal::SIGTERM], "ready\nHUP\nTERM\n", 9),
        ] {
            let names = both(runtime).map(|host| {
                let c = host.container("c").script(CATCHER).build();
                let front = Foreground::start(&host, run(&host, &c, "c"), Stdio::null());
                front.is_ready(&host, "c");
                let name = front.name();
                for (signal, answer) in signals.iter().zip(said.lines().skip(1)) {
                    front.signal(*signal);
                    front.says(answer);
                }
                let ended = front.end();
                assert_eq!(String::from_utf8_lossy(&ended.out), said, "{ended:?}");
                assert_eq!(ended.status.code(), Some(status), "{ended:?}");
                name
            });
            // We are not in between: the process is the runtime.
            assert_eq!(names[0], names[1]);
        }
    }

    fn a_container_killed_by_a_signal_ends_as_without_us(runtime) also youki {
        // youki's status is the number of the signal.
        let least = if runtime == Runtime::Youki { 0 } else { 128 };
        for (signal, number) in [("TERM", 15), ("KILL", 9), ("USR1", 10)] {
            for host in both(runtime) {
                let c = mortal(&host);
                let front = Foreground::start(&host, run(&host, &c, "c"), Stdio::null());
                front.is_ready(&host, "c");
                host.run(&mut host.runtime(&["kill", "c", signal])).ok();
                let ended = front.end();
                assert_eq!(ended.status.code(), Some(least + number), "{signal}: {ended:?}");
            }
        }
    }

    /// There is nothing that a dead runtime could do for the container; and nothing that we do.
    fn a_killed_runtime_leaves_what_it_leaves_without_us(runtime) {
        let left = both(runtime).map(|host| {
            let c = host.container("c").script("echo ready; sleep 60").build();
            let front = Foreground::start(&host, run(&host, &c, "c"), Stdio::null());
            front.is_ready(&host, "c");
            front.signal(Signal::SIGKILL);
            let ended = front.end();
            let status = c.state()["status"].clone();
            c.delete_by_force().ok();
            host.assert_nothing_left();
            (ended, status)
        });
        assert_eq!(left[0], left[1]);
    }
}
