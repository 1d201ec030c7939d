//! What is made of the definitions of `--help`: manual pages and completions. They name every
//! command, and who reads them finds nothing to complain of.

use crate::{
    cast::source,
    support::{Host, Runtime, script},
};
use std::{collections::BTreeSet, fs, os::unix::fs::MetadataExt, path::Path, process::Command};

const REFERENCE: &str = include_str!("../../docs/reference.md");

/// As `--help` lists them.
fn commands(host: &Host) -> BTreeSet<String> {
    let help = host.run(&mut host.oci_link(&["--help"])).ok();
    let list = help.split("\nOptions:").next().expect("a list of commands");
    let lines = list.lines().filter_map(|line| line.strip_prefix("  "));
    let commands = lines.filter_map(|line| line.split_whitespace().next());
    let commands: BTreeSet<_> = commands.map(str::to_owned).collect();
    assert!(commands.contains("hook") && commands.contains("man"), "{help}");
    commands
}

fn is_installed(program: &str) -> bool {
    let there = Command::new(program).arg("--version").output().is_ok();
    if !there {
        eprintln!("no {program} on this machine: not asked");
    }
    there
}

#[test]
fn every_command_has_a_page_that_can_be_formatted() {
    let host = Host::open(Runtime::Runc);
    let dir = host.path("man1");
    for _ in 0..2 {
        let _ = host.run(host.oci_link(&["man"]).arg(&dir)).ok();
    }
    let pages = fs::read_dir(&dir).expect("made").map(|page| page.expect("readable").path());
    let pages: Vec<_> = pages.collect();
    let name = |page: &Path| page.file_name().expect("a name").to_string_lossy().into_owned();
    let names: BTreeSet<_> = pages.iter().map(|page| name(page)).collect();
    let own = ["oci-link.1", "oci-link.toml.5", "oci-link-annotations.7"].map(String::from);
    let of_commands = commands(&host).into_iter().map(|command| format!("oci-link-{command}.1"));
    assert_eq!(names, own.into_iter().chain(of_commands).collect());
    let formats = is_installed("man");
    for page in &pages {
        let text = fs::read_to_string(page).expect("readable");
        assert!(text.contains("\n.SH NAME\n") && text.contains("oci"), "{text}");
        assert_eq!(fs::metadata(page).expect("there").mode() & 0o777, 0o644);
        if formats {
            let mut man = Command::new("man");
            man.args(["--warnings", "--local-file", "-Tutf8"]).arg(page).env("MANWIDTH", "80");
            let said = host.run(man.env("LC_ALL", "C.UTF-8")).ended(0);
            assert!(!said.contains("warning:"), "{}: {said}", page.display());
        }
    }
    let file = dir.join("oci-link.1");
    let _ = host.run(host.oci_link(&["man"]).arg(file)).refused(2);
}

/// Those written by hand know what docs/reference.md knows.
#[test]
fn every_annotation_and_every_key_has_its_paragraph() {
    let host = Host::open(Runtime::Runc);
    let dir = host.path("man1");
    let _ = host.run(host.oci_link(&["man"]).arg(&dir)).ok();
    let page = |name| fs::read_to_string(dir.join(name)).expect("readable").replace('\\', "");
    let annotations = page("oci-link-annotations.7");
    let table = REFERENCE.split("| `org.oci-link.` |").nth(1).expect("a table");
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    let names: Vec<_> = rows.filter_map(|row| row.split('`').nth(1)).collect();
    let source = include_str!("../../src/oci/annotations.rs");
    let keys = source.split("const KEYS: [&str; ").nth(1).and_then(|rest| rest.split(']').next());
    assert_eq!(names.len().to_string(), keys.expect("KEYS"), "{names:?}");
    for name in names {
        assert!(annotations.contains(&format!("\n.B org.oci-link.{name}\n")), "{name}");
    }
    let configuration = page("oci-link.toml.5");
    let example = REFERENCE.split("```toml\n").nth(1).expect("an example");
    let lines = example.lines().take_while(|line| !line.starts_with("```"));
    let keys: Vec<_> = lines.filter_map(|line| line.split_whitespace().next()).collect();
    assert!(keys.contains(&"isolate"), "{keys:?}");
    for key in keys {
        let paragraph = match key.strip_prefix('[') {
            Some(_) => format!("\n.SS {key}\n"),
            None => format!("\n.TP\n.B {key}\n"),
        };
        assert!(configuration.contains(&paragraph), "{key}");
    }
}

/// `oci-link` as an interactive shell on this host finds it.
fn install(host: &Host) -> std::path::PathBuf {
    let dir = host.path("bin");
    fs::create_dir(&dir).expect("made");
    let command = host.oci_link(&[]);
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let line: Vec<_> = words.map(|word| word.to_string_lossy().into_owned()).collect();
    let program = dir.join("oci-link");
    script(&program, &format!("#!/bin/sh\nexec {} \"$@\"\n", line.join(" ")));
    dir
}

fn completions(host: &Host, shell: &str) -> std::path::PathBuf {
    let script = host.run(&mut host.oci_link(&["completions", shell])).ok();
    for command in commands(host) {
        assert!(script.contains(&command), "{shell} {command}");
    }
    let file = host.path(&format!("completions.{shell}"));
    fs::write(&file, script).expect("written");
    file
}

#[test]
fn bash_completes_commands_options_and_names() {
    let host = Host::open(Runtime::Crun);
    let _started = ["mysql", "web"].map(|id| source(&host, id, "none"));
    let (bin, file) = (install(&host), completions(&host, "bash"));
    let complete = |line: &str| {
        let script = r#"PATH=$1:$PATH; . "$2"; set -- "${@:3}"; COMP_WORDS=("$@")
            COMP_CWORD=$(($# - 1)); last=${!#}
            compopt() { :; }
            _oci_link_with_names oci-link "$last" "${COMP_WORDS[COMP_CWORD-1]}"
            printf '%s\n' "${COMPREPLY[@]}" | sort | tr '\n' ' '"#;
        let mut bash = Command::new("bash");
        bash.args(["--norc", "-c", script, "bash"]).arg(&bin).arg(&file);
        bash.args(line.split(' '));
        host.run(&mut bash).ok().trim().to_owned()
    };
    assert_eq!(complete("oci-link insp"), "inspect");
    assert_eq!(complete("oci-link graph --format m"), "mermaid");
    assert_eq!(complete("oci-link inspect "), "mysql web");
    assert_eq!(complete("oci-link inspect my"), "mysql");
    assert_eq!(complete("oci-link connect web m"), "mysql");
    assert_eq!(complete("oci-link disconnect w"), "web");
    host.run(&mut host.oci_link(&["connect", "web", "mysql:database"])).ok();
    assert_eq!(complete("oci-link disconnect web "), "database");
    assert_eq!(complete("oci-link disconnect mysql "), "", "has no links");
    assert_eq!(complete("oci-link disconnect gone "), "");
    assert!(complete("oci-link inspect --f").contains("--format"));
    assert_eq!(complete("oci-link graph m"), "", "wants no container");
}

#[test]
fn other_shells_understand_theirs() {
    let host = Host::open(Runtime::Runc);
    for shell in ["zsh", "fish"] {
        let file = completions(&host, shell);
        let script = fs::read_to_string(&file).expect("written");
        assert!(script.contains("oci-link ls --names"), "{script}");
        if is_installed(shell) {
            let _ = host.run(Command::new(shell).arg("-n").arg(&file)).ok();
        }
    }
    let zsh = fs::read_to_string(host.path("completions.zsh")).expect("written");
    assert!(zsh.starts_with("#compdef oci-link\n"), "{zsh}");
    // inspect has one, connect two, disconnect one; and where the function is made.
    assert_eq!(zsh.matches(":_oci-link_names").count(), 4, "{zsh}");
    assert_eq!(zsh.matches("_oci-link_names()").count(), 1, "{zsh}");
    assert_eq!(zsh.matches(":_oci-link_aliases").count(), 1, "{zsh}");
    host.run(&mut host.oci_link(&["completions", "csh"])).refused(2);
}
