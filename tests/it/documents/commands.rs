//! What the documents tell their reader to type, typed: on a host with plain runc, as in the demo.
//! What needs an engine is run by tests/engines.

use super::blocks::{Run, assert_true, documents, of, script, session};
use crate::support::OCI_LINK;
use std::{
    fs,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

/// The machines that blocks may name: this one, and those of tests/engines/documents.rs.
const MACHINES: [&str; 8] = [
    "runc",
    "docker",
    "docker-link",
    "docker-back",
    "docker-configured",
    "podman",
    "podman-configured",
    "containerd",
];

#[test]
fn every_block_is_run_or_says_why_not() {
    let (mut run, mut not) = (0, Vec::new());
    for block in documents().iter().flat_map(|document| of(document)) {
        let place = block.place;
        match block.run {
            Run::On(machine) => {
                let known = MACHINES.contains(&machine.as_str());
                assert!(known, "{place}: there is no machine {machine}");
                run += block.commands.len();
            }
            Run::Not(why) => not.push(format!("{place}: {why}")),
            Run::Unsaid => panic!("{place}: say before it <!-- run: … --> or <!-- not run: … -->"),
        }
    }
    println!("{run} commands are run; {} blocks are not:\n{}", not.len(), not.join("\n"));
    assert!(run > 0);
}

#[test]
fn what_is_shown_with_plain_runc_happens() {
    let mut any = false;
    for document in documents() {
        let blocks = of(&document);
        let session = session(&blocks, "runc");
        if !session.is_empty() {
            any = true;
            let stage = Stage::new(&document);
            stage.play(&script(&session, &stage.path("")));
            assert_true(&session, |name| fs::read_to_string(stage.path(name)).unwrap_or_default());
        }
    }
    assert!(any);
}

/// A host of its own, in namespaces, as demo/stage.sh sets it up: bundles `db`, `web` and `redis` in
/// the current directory, each with a network namespace on an isolated bridge.
struct Stage(PathBuf);

const SET: &str = r#"
source "$DEMO/stage.sh"
set_the_stage "$OCI_LINK" "$BUNDLES"
exec >/dev/null 3>/dev/null
ip link set lo up
ip link add br0 type bridge
ip addr add 10.77.0.1/24 dev br0
ip link set br0 up
iptables -A FORWARD -i br0 -o br0 -j DROP
sed -i 's/"other"/"redis"/; s/oci-link-other/oci-link-redis/' other/config.json
mv other redis
plug db 10.77.0.11; plug web 10.77.0.12; plug redis 10.77.0.13
oci-link prepare redis; runc run -d -b redis redis >&3 </dev/null
trap 'for name in web redis db; do runc delete --force $name; done; rm -rf "$OUT/stage"' EXIT
"#;

impl Stage {
    fn new(document: &str) -> Self {
        let name = document.replace(['/', '.'], "-");
        let directory = format!("oci-link-documents-{}-{name}", std::process::id());
        let stage = Self(std::env::temp_dir().join(directory));
        fs::create_dir(&stage.0).expect("a directory");
        stage
    }

    fn path(&self, name: &str) -> String {
        self.0.join(name).display().to_string()
    }

    fn play(&self, commands: &str) {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut shell = Command::new("unshare")
            .args(["--net", "--mount", "bash", "-s"])
            .env("DEMO", format!("{root}/demo"))
            .env("BUNDLES", format!("{root}/test-bundles"))
            .env("OCI_LINK", OCI_LINK)
            .env("OUT", &self.0)
            .stdin(Stdio::piped())
            .spawn()
            .expect("unshare starts");
        let mut stdin = shell.stdin.take().expect("a pipe");
        stdin.write_all(format!("{SET}{commands}").as_bytes()).expect("bash reads");
        drop(stdin);
        let _ = shell.wait().expect("our child");
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
