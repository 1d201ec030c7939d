//! Rules of the source tree that the compiler does not check: which folder may import which, that no
//! two files import each other, and where unsafe code may be. ARCHITECTURE.md gives the reasons.

mod courier;
mod imports;

use imports::{SourceFile, sources};
use std::collections::{BTreeMap, BTreeSet};

/// Each folder of `src`, or file directly in it, and what it may import of this crate besides itself.
/// Data flows from the readers of outside bytes to what acts; `model` and `link` cannot act.
pub(crate) const MAY_USE: [(&str, &[&str]); 24] = [
    ("model", &[]),
    ("link", &["model"]),
    ("error", &["link", "model"]),
    ("oci", &["error", "model"]),
    ("engine", &["error", "model", "oci", "sys"]),
    ("sys", &["error", "model"]),
    ("store", &["error", "model", "sys"]),
    ("firewall", &["error", "model", "sys"]),
    ("config", &["error", "firewall", "link", "model", "sys"]),
    ("cluster", &["error", "model", "sys"]),
    ("host", &["config", "error", "firewall", "model", "store", "sys"]),
    (
        "lifecycle",
        &[
            "cluster", "config", "engine", "error", "firewall", "host", "link", "model", "oci",
            "store", "sys",
        ],
    ),
    (
        "recovery",
        &["cluster", "config", "error", "firewall", "host", "lifecycle", "link", "model", "sys"],
    ),
    (
        "watch",
        &[
            "cluster",
            "config",
            "error",
            "firewall",
            "host",
            "lifecycle",
            "model",
            "recovery",
            "store",
            "sys",
        ],
    ),
    ("logging", &["config", "error", "sys"]),
    ("configure", &["error", "oci", "sys"]),
    ("compose", &["error", "model"]),
    ("frontend", &["error", "model"]),
    (
        "doctor",
        &[
            "cluster",
            "config",
            "configure",
            "error",
            "firewall",
            "host",
            "lifecycle",
            "logging",
            "model",
            "oci",
            "recovery",
            "store",
            "sys",
        ],
    ),
    ("cli", &[]),
    ("graph", &["model"]),
    (
        "fuzz",
        &[
            "cluster", "compose", "config", "engine", "firewall", "frontend", "link", "model",
            "oci", "store", "sys",
        ],
    ),
    (
        "commands",
        &[
            "cli",
            "compose",
            "config",
            "configure",
            "doctor",
            "error",
            "firewall",
            "frontend",
            "graph",
            "host",
            "lifecycle",
            "link",
            "logging",
            "model",
            "oci",
            "recovery",
            "store",
            "sys",
            "watch",
        ],
    ),
    ("main", &["main", "run", "Allocator"]),
];

/// The folders that decide, and use nothing but the standard library and each other.
const PURE: [&str; 2] = ["model", "link"];

#[test]
fn folders_import_only_what_they_may() {
    for file in sources().iter().filter(|file| file.folder() != "lib") {
        let (_, allowed) = MAY_USE
            .iter()
            .find(|(name, _)| *name == file.folder())
            .unwrap_or_else(|| panic!("{} has no place in MAY_USE", file.path));
        for other in file.used_folders() {
            let fine = other == file.folder() || allowed.contains(&other.as_str());
            assert!(fine, "{} must not use {other}", file.path);
        }
    }
}

#[test]
fn no_two_files_import_each_other() {
    let files = sources();
    let graph: BTreeMap<&str, BTreeSet<&str>> =
        files.iter().map(|file| (file.path.as_str(), file.imported_files(&files))).collect();
    assert!(graph["host.rs"].contains("store/mod.rs"), "imports are not read: {graph:?}");
    for start in graph.keys() {
        if let Some(circle) = imports::path_back(&graph, start) {
            panic!("import circle: {}", circle.join(" -> "));
        }
    }
}

#[test]
fn deciding_needs_nothing_but_the_standard_library() {
    for file in sources().iter().filter(|file| PURE.contains(&file.folder())) {
        for first in file.first_segments() {
            let known = ["std", "crate", "super", "self"].contains(&first.as_str())
                || file.code.contains(&format!("mod {first};"));
            assert!(known, "{} must not use {first}", file.path);
        }
        for act in
            ["std::fs", "std::process", "std::net::Tcp", "std::net::Udp", "std::env", "std::io"]
        {
            assert!(!file.code.contains(act), "{} must not act: {act}", file.path);
        }
    }
}

#[test]
fn unsafe_code_is_in_sys_only() {
    for file in sources() {
        let has = file.code.contains("unsafe {") || file.code.contains("allow(unsafe_code)");
        assert!(!has || file.folder() == "sys", "unsafe code in {}", file.path);
    }
}

#[test]
fn only_these_files_are_directly_in_src() {
    let files = sources();
    let loose: Vec<&str> =
        files.iter().map(|file| file.path.as_str()).filter(|path| !path.contains('/')).collect();
    let known = ["cli.rs", "config.rs", "error.rs", "host.rs", "lib.rs", "logging.rs", "main.rs"];
    assert_eq!(loose, known, "a new file belongs in a folder");
}

#[test]
fn imports_of_every_form_are_read() {
    let code = "use crate::model::{A, B};\nuse crate::{link::{x, y}, store};\n\
                let a = crate::sys::f();\nuse super::plan::Plan;\n#[cfg(test)]\nmod tests {\n\
                use crate::oci::Spec;\n}\n";
    let file = SourceFile { path: "lifecycle/apply.rs".to_owned(), code: code.to_owned() };
    let folders: Vec<_> = file.used_folders().into_iter().collect();
    assert_eq!(folders, ["link", "model", "oci", "store", "sys"]);
    let others = ["model/mod.rs", "link/mod.rs", "store/mod.rs", "lifecycle/plan.rs", "oci/mod.rs"];
    let others = others.map(|path| SourceFile { path: path.to_owned(), code: String::new() });
    let imported: Vec<_> = file.imported_files(&others).into_iter().collect();
    assert_eq!(imported, ["lifecycle/plan.rs", "link/mod.rs", "model/mod.rs", "store/mod.rs"]);
    let graph = BTreeMap::from([
        ("a", BTreeSet::from(["b"])),
        ("b", BTreeSet::from(["c"])),
        ("c", BTreeSet::from(["b"])),
    ]);
    assert_eq!(imports::path_back(&graph, "a"), None);
    assert_eq!(imports::path_back(&graph, "b"), Some(vec!["b", "c", "b"]));
}
