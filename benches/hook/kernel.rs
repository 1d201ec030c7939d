//! What the kernel really has, as its own tools tell it: a link that was lost would cost nothing.

use crate::rig::Rig;
use std::process::Command;

/// How many links to the first port of `db` a host's rules permit, if its backend makes rules.
pub(crate) fn links(rig: &Rig) -> Option<usize> {
    let (tool, arguments, rule): (_, &[&str], _) = match rig.backend {
        "iptables" => ("iptables-save", &["-t", "filter"], "--dport 3306 "),
        "ipset" => ("ipset", &["save"], ",tcp:3306,"),
        "nftables" => ("nft", &["list", "table", "inet", "oci-link"], ". tcp . 3306"),
        "none" => return None,
        other => panic!("what shows the rules of {other}?"),
    };
    Some(output(rig, Command::new(tool).args(arguments)).matches(rule).count())
}

/// What a program prints on the host.
pub(crate) fn output(rig: &Rig, command: &mut Command) -> String {
    let output = rig.host.enter(|| command.output().expect("program starts"));
    assert!(output.status.success(), "{command:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}
