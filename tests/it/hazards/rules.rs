//! No byte that a user chose reaches a program's arguments, a rule or a comment.

use super::scene::{Scene, after, isolated};
use crate::{
    backends::each_backend,
    cast::permissions,
    lifecycle::{by_hand, host_with},
    support::each_runtime,
};
use oci_link::testing::BackendName;
use serde_json::json;
use std::{fs, path::Path, process::Command};

/// `command` under strace, which writes to `trace` every program started and every byte written.
fn traced(trace: &Path, command: &Command) -> Command {
    let calls = "-e trace=execve,execveat,write,pwrite64,writev,sendto,sendmsg";
    let strace = format!("strace -f -qq -s 1000000 {calls} -o \"$1\" \"${{@:2}}\"; exit $?");
    after(&strace, &[trace], command)
}

each_runtime! {
    fn a29_rule_syntax_is_refused(runtime) {
        let host = isolated(runtime);
        let scene = Scene::open(&host);
        let old = scene.config();
        // In lists, spaces separate: what stands behind one is named.
        for (key, value, named) in [
            ("links", "db:a -j ACCEPT", "link source \"-j\""),
            ("links", "db:a\nCOMMIT\n*filter\n-A FORWARD -j ACCEPT\n", "link source \"*filter\""),
            ("links", "db\"--comment", r#"link source "db\"--comment""#),
            ("name", "x -j ACCEPT", "container name \"x -j ACCEPT\""),
            ("name", "x\"\n-A FORWARD -j ACCEPT", r#"container name "x\"\n-A FORWARD -j ACCEPT""#),
            ("ports", "80 -j ACCEPT", "port \"-j\""),
            ("ports", "80/tcp\n-A FORWARD -j ACCEPT", "port \"-A\""),
            ("ports", "80:90", "port \"80:90\""),
            ("ports", "80/icmp", "port \"80/icmp\""),
            ("ports", "+80", "port \"+80\""),
            ("ports", "0", "port \"0\""),
            ("ports", "65536", "port \"65536\""),
        ] {
            scene.edit(|config| config["annotations"][format!("org.oci-link.{key}")] = value.into());
            scene.refused(3, named);
            scene.prepare_refused(3, named);
            scene.write_config(&old);
        }
    }
}

each_backend! {
    /// Every value that a user may choose freely is marked; the marks end in the hosts file and
    /// the records alone.
    fn a29_nothing_of_a_user_reaches_a_rule(backend) {
        let host = host_with(backend);
        let scene = Scene::open(&host);
        let source = host.container("Mark1").annotate("name", "Mark2").annotate("ports", "80,90/udp");
        let source = source.env("Mark3=Mark4\nCOMMIT\n-A FORWARD -j ACCEPT").hooks().build();
        source.run().ok();
        scene.edit(|config| {
            config["hostname"] = "Mark5".into();
            config["process"]["env"] = json!(["Mark6=-j ACCEPT"]);
            config["annotations"] = json!({
                "org.oci-link.links": "Mark2:Mark7,Mark1:FORWARD,db:ACCEPT",
                "org.oci-link.name": "Mark8",
                "org.oci-link.env": "Mark*",
                "Mark9": "Mark10",
            });
        });
        // So that all rules are made anew.
        by_hand(&host, &["nft flush ruleset", "ipset destroy"]);
        let trace = host.path("trace");
        scene.accepted_by(traced(&trace, &scene.command()));

        let trace = fs::read_to_string(trace).expect("strace wrote it");
        let to_rules = ["execve(", "*filter", "sendto(", "sendmsg("];
        let of_rules: Vec<&str> = trace
            .lines()
            .filter(|line| to_rules.iter().any(|word| line.contains(word)))
            .filter(|line| !line.contains("\"hook\", \"createRuntime\""))
            .collect();
        let count = |word: &str| of_rules.iter().filter(|line| line.contains(word)).count();
        let programs = count("iptables-restore\", ") > 0 && count("*filter") > 0;
        assert_eq!(programs, backend != BackendName::Nftables, "{trace}");
        assert!(count("sendto(") + count("sendmsg(") > 0, "{trace}");
        let marked: Vec<_> = of_rules.iter().filter(|line| line.contains("Mark")).collect();
        assert!(marked.is_empty(), "{marked:?}");
        let rules = permissions(&host);
        assert!(rules.iter().any(|rule| rule.contains("90")), "{rules:?}");
        assert!(!rules.iter().any(|rule| rule.contains("Mark")), "{rules:?}");
        let hosts = fs::read_to_string(scene.rootfs("etc/hosts")).expect("readable");
        assert!(hosts.contains("Mark7 Mark1 Mark2\n"), "{hosts}");
    }
}
