//! Machines: network namespaces on one switch, whose links can be cut.
//!
//! A namespace lives as long as a process in it, which ends with the test.

use std::ffi::OsStr;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::Duration;

/// A namespace.
#[derive(Debug)]
pub(crate) struct Machine {
    holder: Child,
}

impl Machine {
    fn new() -> Self {
        let holder = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "unshare", "--net", "sleep", "600"])
            .stdin(Stdio::null())
            .spawn()
            .expect("setpriv");
        let ours = fs::read_link("/proc/self/ns/net").expect("own namespace");
        let path = format!("/proc/{}/ns/net", holder.id());
        while fs::read_link(&path).is_ok_and(|theirs| theirs == ours) {
            sleep(Duration::from_millis(2));
        }
        let machine = Self { holder };
        machine.sh("ip link set lo up");
        machine
    }

    /// A command on this machine. It is killed with the thread that starts it.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "nsenter", "--net", "-t"]);
        command.arg(self.holder.id().to_string()).arg("--").arg(program);
        command.stdin(Stdio::null());
        command
    }

    /// Runs a script, which must succeed, and returns what it prints.
    pub(crate) fn sh(&self, script: &str) -> String {
        succeed(self.command("sh").args(["-euc", script]), script)
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Runs a command, which must succeed, and returns what it prints.
pub(crate) fn succeed(command: &mut Command, what: &str) -> String {
    let Output { status, stdout, stderr } = command.output().expect("a program");
    let text = String::from_utf8_lossy(&stdout).into_owned();
    assert!(status.success(), "{what}: {status}\n{text}{}", String::from_utf8_lossy(&stderr));
    text
}

/// A switch in a namespace of its own: 10.99.0.0/24.
#[derive(Debug)]
pub(crate) struct Switch(Machine);

impl Switch {
    /// A switch without machines.
    pub(crate) fn new() -> Self {
        let machine = Machine::new();
        machine.sh("ip link add br0 type bridge; ip link set br0 up");
        Self(machine)
    }

    /// A machine with the address 10.99.0.`number`.
    pub(crate) fn machine(&self, number: u8) -> Machine {
        let machine = Machine::new();
        self.0.sh(&format!(
            "ip link add p{number} type veth peer name eth0 netns {}
             ip link set p{number} master br0 up",
            machine.holder.id()
        ));
        machine.sh(&format!("ip addr add 10.99.0.{number}/24 dev eth0; ip link set eth0 up"));
        machine
    }

    /// Cuts a machine off.
    pub(crate) fn cut(&self, number: u8) {
        self.0.sh(&format!("ip link set p{number} down"));
    }

    /// Undoes [`Switch::cut`].
    pub(crate) fn heal(&self, number: u8) {
        self.0.sh(&format!("ip link set p{number} up"));
    }
}
