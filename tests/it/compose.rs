//! `compose` on files as people had them: what becomes of their links, and that nothing else changes.

use crate::support::{Host, Outcome, Runtime};
use std::{ffi::OsStr, fs, path::Path};

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/compose");

fn compose(host: &Host, options: &[&str], text: &[u8]) -> Outcome {
    host.feed(host.oci_link(&["compose"]).args(options), text)
}

#[test]
fn files_of_the_legacy_kind() {
    let host = Host::open(Runtime::Runc);
    let read = |path: &Path| fs::read_to_string(path).expect("readable");
    let mut seen = 0;
    for file in fs::read_dir(GOLDEN).expect("golden files") {
        let path = file.expect("readable").path();
        let name = path.file_name().and_then(OsStr::to_str).expect("a name");
        let Some((name, kind)) = name.split_once(".in.") else { continue };
        let expected = read(&path.with_file_name(format!("{name}.out.{kind}")));
        let options = ["--runtime", "--ports"];
        let once = compose(&host, &options, read(&path).as_bytes()).ok();
        assert_eq!(once, expected, "{name}");
        assert_eq!(compose(&host, &options, once.as_bytes()).ok(), once, "{name}, twice");
        // In two steps as in one, but that what is there stays where it is.
        let links = compose(&host, &[], read(&path).as_bytes()).ok();
        assert!(!links.contains("oci-link.ports") && links.contains("oci-link.links"), "{links}");
        let more = compose(&host, &options, links.as_bytes()).ok();
        let lines = |text: &str| {
            let mut words: Vec<_> =
                text.split([' ', '\n', ',', '{', '}']).map(str::to_owned).collect();
            words.sort();
            words
        };
        assert_eq!(lines(&more), lines(&expected), "{name}, in two steps");
        if kind == "json" {
            serde_json::from_str::<serde_json::Value>(&once).expect("JSON stays JSON");
        }
        seen += 1;
    }
    assert_eq!(seen, 4);
}

#[test]
fn files_are_read_and_written_by_name() {
    let host = Host::open(Runtime::Runc);
    let text = "services:\n  web:\n    links: [db]\n  db:\n    container_name: db\n";
    let converted = compose(&host, &[], text.as_bytes()).ok();
    let [file, out] = ["in.yaml", "out.yaml"].map(|name| host.path(name));
    fs::write(&file, text).expect("written");
    let run = |options: &[&str]| host.run(host.oci_link(&["compose"]).args(options).arg(&file));
    assert_eq!(run(&[]).ok(), converted);
    assert_eq!(run(&["-o", out.to_str().expect("text")]).ok(), "");
    assert_eq!(fs::read_to_string(&out).expect("readable"), converted);
    assert_eq!(fs::read_to_string(&file).expect("readable"), text);
    let said = run(&["--in-place"]).ended(0);
    assert_eq!(said, "oci-link: 1 link of 1 service converted\n");
    assert_eq!(fs::read_to_string(&file).expect("readable"), converted);
    let _ = run(&["--in-place", "-o", "x"]).refused(2);
    let _ = host.run(&mut host.oci_link(&["compose", "--in-place"])).refused(2);
    let _ = host.run(host.oci_link(&["compose"]).arg(host.path("gone"))).refused(3);
    // A file that cannot be converted stays as it is.
    fs::write(&file, "services: {a: {links: [gone]}}").expect("written");
    let _ = run(&["--in-place"]).refused(3);
    assert!(fs::read_to_string(&file).expect("readable").contains("gone"));
}

#[test]
fn what_is_refused_leaves_standard_output_empty() {
    let host = Host::open(Runtime::Runc);
    let refused = |options: &[&str], text: &[u8]| {
        let outcome = compose(&host, options, text);
        let said = outcome.ended(3);
        assert!(said.starts_with("oci-link: ") && said.trim_end().lines().count() == 1, "{said}");
        said
    };
    let web = |links: &str| format!("services:\n  web:\n    image: web\n    links: {links}\n");
    let said = refused(&[], web("[gone]").as_bytes());
    assert!(said.contains("line 4: service web: link \"gone\""), "{said}");
    let said = refused(&[], web("[\"a\\e[2J\"]").as_bytes());
    assert!(!said.contains('\u{1b}'), "{said}");
    assert!(refused(&[], b"a: \xff").contains("utf-8"));
    let said = refused(&["--runtime=a b"], web("[]").as_bytes());
    assert!(said.contains("runtime \"a b\""), "{said}");
    let large = format!("services: {{}}\n#{}\n", "x".repeat(1 << 20));
    assert!(refused(&[], large.as_bytes()).contains("more than 1048576 bytes"));
    let _ = host.feed(host.oci_link(&["compose", "--runtime", "x"]).arg("y"), b"").refused(2);
}
