//! `oci-link docker` and `oci-link podman` before programs that say how they were called.

use crate::support::{Host, OCI_LINK, Outcome, Runtime, script};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;

/// Says how it was called, and counts its calls. It lists an option `--new`, and no `--foo`.
const PROGRAM: &str = r#"#!/bin/bash
echo "$*" >>"${0%/*}/calls"
case "$*" in
*--help) printf '      --annotation map  x\n      --link list  x\n      --new  x\n      --runtime string  x\n' ;;
*) echo "pid: $$"; printf '%s|' "$@"; echo; echo "stdin: $(cat)"; echo complaint >&2; exit 42 ;;
esac
"#;

/// A host with a program `docker` and a program `podman` in `real/`.
fn host() -> Host {
    let host = Host::open(Runtime::Runc);
    for directory in ["early", "real", "tools"] {
        fs::create_dir(host.path(directory)).expect("a directory");
    }
    // The only program that the scripts need: this machine can have a docker of its own.
    symlink("/bin/cat", host.path("tools/cat")).expect("a link");
    for name in ["docker", "podman"] {
        script(&host.path("real").join(name), PROGRAM);
    }
    host
}

fn call(host: &Host, program: &Path, words: &[&str]) -> Outcome {
    let path = |name: &str| host.path(name).display().to_string();
    let mut command = Command::new(program);
    let directories = format!("{}:{}:{}", path("early"), path("real"), path("tools"));
    command.args(words).env_clear().env("PATH", directories).env("HOME", path("home"));
    host.feed(&mut command, b"word")
}

/// The arguments that the real program of this name was called with, `--help` included.
fn calls(host: &Host) -> Vec<String> {
    let calls = fs::read_to_string(host.path("real/calls")).unwrap_or_default();
    let _ = fs::remove_file(host.path("real/calls"));
    calls.lines().map(str::to_owned).collect()
}

const RUN: [&str; 7] = ["run", "-d", "--link", "db:mysql", "img", "--link", "x"];
const PODMAN: &str = "run -d --annotation org.oci-link.links=db:mysql img --link x";

#[test]
fn the_program_behind_us_is_executed() {
    let host = host();
    for name in ["docker", "podman"] {
        symlink(OCI_LINK, host.path("early").join(name)).expect("a link");
    }
    let early = host.path("early/podman");
    let ways: [(&Path, &[&str]); 2] = [(&early, &[]), (Path::new(OCI_LINK), &["podman"])];
    for (program, first) in ways {
        let said = call(&host, program, &[first, &RUN].concat()).ended(42);
        assert!(said.contains("stdin: word\ncomplaint\n"), "{said}");
        assert_eq!(calls(&host), [PODMAN]);
    }
    // docker is asked whether it has annotations; nothing is asked without a link.
    let early = host.path("early/docker");
    let _ = call(&host, &early, &RUN).ended(42);
    let docker = PODMAN.replace(" img", " --runtime oci-link img");
    assert_eq!(calls(&host), ["run --help".to_owned(), docker]);
    let _ = call(&host, &early, &["run", "--foo", "img", "a b"]).ended(42);
    assert_eq!(calls(&host), ["run --foo img a b"]);
    for verb in ["ps", "--version", "--help"] {
        let all = call(&host, &early, &[verb, "--link", "x"]);
        assert!(calls(&host).len() == 1, "{verb}");
        drop(all);
    }
}

#[test]
fn what_is_unknown_is_asked_once_and_never_guessed() {
    let host = host();
    let podman = |words: &[&str]| call(&host, Path::new(OCI_LINK), &[&["podman"], words].concat());
    let _ = podman(&["run", "--new", "--new", "--link", "a", "img"]).ended(42);
    let expected = "run --new --new --annotation org.oci-link.links=a img";
    assert_eq!(calls(&host), ["run --help", expected]);
    let said = podman(&["run", "--foo", "x", "--link", "a", "img"]).refused(2);
    assert!(said.contains("podman run: unknown option --foo: write --foo=VALUE"), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert_eq!(calls(&host), ["run --help"]);
    let said = podman(&["run", "--link", "a:b:c", "img"]).refused(2);
    assert!(said.contains("podman run: link \"a:b:c\""), "{said}");
    assert_eq!(calls(&host), Vec::<String>::new());
}

/// A script of the client's name that calls us, by exec or as a child, with words of its own or
/// without, is called once more at most.
#[test]
fn a_script_that_calls_us_is_no_loop() {
    for line in [
        "exec OURS docker \"$@\"",
        "OURS docker \"$@\"",
        "exec OURS docker -D \"$@\"",
        "OURS docker -D \"$@\"",
    ] {
        let host = host();
        let text = format!("#!/bin/sh\n{}\n", line.replace("OURS", OCI_LINK));
        let early = host.path("early/docker");
        script(&early, &text);
        for program in [early.as_path(), Path::new(OCI_LINK)] {
            // exec leaves no trace of the script, so oci-link executes it once.
            let times = if program == early && line.starts_with("exec") { 2 } else { 1 };
            let debug = if line.contains("-D") { "-D ".repeat(times) } else { String::new() };
            let first: &[&str] = if program == early { &[] } else { &["docker"] };
            let _ = call(&host, program, &[first, &["ps", "x"]].concat()).ended(42);
            let found = calls(&host);
            assert_eq!(found, [format!("{debug}ps x")], "{line} {program:?}");
            let _ = call(&host, program, &[first, &RUN].concat()).ended(42);
            let found = calls(&host);
            let run = PODMAN.replace(" img", " --runtime oci-link img");
            assert_eq!(found.last(), Some(&format!("{debug}{run}")), "{line} {program:?}");
            assert_eq!(found.len(), 2, "{line} {program:?}: {found:?}");
        }
        fs::remove_file(host.path("real/docker")).expect("removed");
        let said = call(&host, &early, &["ps"]).refused(3);
        assert!(said.contains("early/docker: calls oci-link again: "), "{said}");
    }
}

#[test]
fn without_the_program_there_is_one_line() {
    let host = host();
    for name in ["docker", "podman"] {
        symlink(OCI_LINK, host.path("early").join(name)).expect("a link");
        fs::remove_file(host.path("real").join(name)).expect("removed");
    }
    let mut command = Command::new(host.path("early/podman"));
    let early = host.path("early");
    let said = host.run(command.arg("ps").env("PATH", early)).refused(3);
    assert!(
        said.contains("podman: no such program in PATH besides oci-link: install it"),
        "{said}"
    );
}
