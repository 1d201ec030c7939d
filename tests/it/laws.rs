//! The laws of the inside that a compiler does not know: which module may use which, and where
//! unsafe code may stand. ARCHITECTURE.md says why.

use std::{collections::BTreeSet, fs, path::Path};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// What each module may use of this crate, besides itself. Data flows from the door to the acting
/// end; `model` and `link` decide without being able to act.
const MAY_USE: [(&str, &[&str]); 34] = [
    ("model", &[]),
    ("link", &["model"]),
    ("error", &["link", "model"]),
    ("oci", &["error", "model"]),
    ("engine", &["error", "model", "oci", "sys"]),
    ("sys", &["error", "model"]),
    ("store", &["error", "model", "sys"]),
    ("firewall", &["error", "model", "sys"]),
    ("apply", &["error", "firewall", "link", "model", "store", "sys"]),
    ("world", &["error", "link", "model", "store", "sys"]),
    ("waiting", &["error", "model"]),
    ("story", &["link", "model", "sys"]),
    ("config", &["error", "firewall", "link", "model", "sys"]),
    ("host", &["apply", "config", "error", "firewall", "model", "store", "sys"]),
    (
        "lifecycle",
        &[
            "apply",
            "confine",
            "error",
            "host",
            "link",
            "model",
            "newcomer",
            "rewire",
            "store",
            "story",
            "strangers",
            "sys",
            "waiting",
            "world",
        ],
    ),
    ("rewire", &["apply", "error", "host", "link", "model", "store", "story", "sys", "world"]),
    (
        "connect",
        &[
            "apply",
            "error",
            "host",
            "lifecycle",
            "link",
            "model",
            "newcomer",
            "oci",
            "rewire",
            "store",
            "sys",
            "world",
        ],
    ),
    (
        "recovery",
        &[
            "apply",
            "error",
            "firewall",
            "host",
            "lifecycle",
            "link",
            "model",
            "rewire",
            "scene",
            "sys",
        ],
    ),
    ("scene", &["error", "firewall", "host", "model", "world"]),
    ("strangers", &["apply", "error", "host", "model", "scene"]),
    (
        "watch",
        &["error", "firewall", "host", "lifecycle", "model", "recovery", "store", "sys", "world"],
    ),
    ("confine", &["error", "host", "model", "sys"]),
    ("newcomer", &["engine", "error", "host", "model", "oci", "story", "sys", "waiting"]),
    (
        "inject",
        &["config", "engine", "error", "host", "link", "model", "oci", "sys", "waiting", "world"],
    ),
    ("logging", &["config", "error", "sys"]),
    ("configure", &["error", "oci", "sys"]),
    ("compose", &["error", "model"]),
    (
        "doctor",
        &[
            "config",
            "configure",
            "error",
            "firewall",
            "host",
            "logging",
            "model",
            "recovery",
            "store",
            "sys",
            "world",
        ],
    ),
    ("cli", &[]),
    ("graph", &["model"]),
    ("fuzz", &["compose", "config", "engine", "firewall", "link", "model", "oci", "store", "sys"]),
    (
        "commands",
        &[
            "cli",
            "compose",
            "config",
            "configure",
            "confine",
            "connect",
            "doctor",
            "error",
            "firewall",
            "graph",
            "host",
            "inject",
            "lifecycle",
            "link",
            "logging",
            "model",
            "newcomer",
            "oci",
            "recovery",
            "rewire",
            "store",
            "sys",
            "watch",
            "world",
        ],
    ),
    ("lib", &[]),
    ("main", &["cli", "commands", "error", "logging", "sys"]),
];

/// The crates that may stand in the two modules that decide.
const PURE: [&str; 2] = ["model", "link"];

/// Every source file, and the module at the top of the crate that it belongs to.
fn sources() -> Vec<(String, String)> {
    fn walk(directory: &Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in fs::read_dir(directory).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let mut files = Vec::new();
    walk(Path::new(SRC), &mut files);
    files
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(SRC).expect("below src");
            let top = inside.iter().next().expect("a file").to_string_lossy();
            let text = fs::read_to_string(&path).expect("a source file");
            let code: Vec<&str> =
                text.lines().filter(|line| !line.trim_start().starts_with("//")).collect();
            (top.trim_end_matches(".rs").to_owned(), code.join("\n"))
        })
        .collect()
}

/// The words that follow `root::`, also inside braces.
fn used(code: &str, root: &str) -> BTreeSet<String> {
    let word = |text: &str| -> String {
        text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
    };
    let mut words = BTreeSet::new();
    for (at, _) in code.match_indices(root) {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        if before.is_ascii_alphanumeric() || before == '_' || before == ':' {
            continue;
        }
        let rest = &code[at + root.len()..];
        match rest.strip_prefix('{') {
            None => drop(words.insert(word(rest))),
            Some(list) => {
                let mut depth = 0;
                for item in list.split_inclusive(['{', '}', ',']) {
                    if depth == 0 {
                        words.insert(word(item.trim_start()));
                    }
                    depth += item.matches('{').count();
                    if item.ends_with('}') {
                        if depth == 0 {
                            break;
                        }
                        depth -= 1;
                    }
                }
            }
        }
    }
    words.remove("");
    words
}

#[test]
fn arrows_only_point_one_way() {
    for (module, code) in sources() {
        let allowed = MAY_USE
            .iter()
            .find(|(name, _)| *name == module)
            .unwrap_or_else(|| panic!("module {module} has no place in the picture"));
        let root = if module == "main" { "oci_link::" } else { "crate::" };
        for other in used(&code, root) {
            let fine = other == module || allowed.1.contains(&other.as_str());
            assert!(fine, "{module} must not use {other}");
        }
    }
}

#[test]
fn deciding_needs_nothing_but_the_standard_library() {
    for (module, code) in sources().iter().filter(|(module, _)| PURE.contains(&module.as_str())) {
        for line in code.lines().map(str::trim_start) {
            let foreign = line.strip_prefix("use ").or(line.strip_prefix("pub use "));
            let Some(path) = foreign else { continue };
            let first: String =
                path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            let known = ["std", "crate", "super", "self"].contains(&first.as_str())
                || code.contains(&format!("mod {first};"));
            assert!(known, "{module} must not use {first}");
        }
        for act in
            ["std::fs", "std::process", "std::net::Tcp", "std::net::Udp", "std::env", "std::io"]
        {
            assert!(!code.contains(act), "{module} must not act: {act}");
        }
    }
}

#[test]
fn unsafe_code_stays_in_its_room() {
    for (module, code) in sources() {
        let has = code.contains("unsafe {") || code.contains("allow(unsafe_code)");
        assert!(!has || module == "sys", "unsafe code in {module}");
    }
}

#[test]
fn the_test_can_read() {
    let code =
        "use crate::model::{A, B};\nuse crate::{link::{x, y}, store};\nlet a = crate::sys::f();";
    let words: Vec<_> = used(code, "crate::").into_iter().collect();
    assert_eq!(words, ["link", "model", "store", "sys"]);
}
