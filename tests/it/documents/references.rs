//! What the documents refer to is there: tests by their names, files and headings by links.

use super::blocks::documents;
use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|cause| panic!("{}: {cause}", path.display()))
}

/// All Rust of the project, in one.
fn code(directory: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(directory).expect("a directory") {
        let path = entry.expect("readable").path();
        if path.is_dir() {
            all += &code(&path);
        } else if path.extension().is_some_and(|end| end == "rs") {
            all += &read(&path);
        }
    }
    all
}

/// As forges make them of headings.
fn anchor(heading: &str) -> String {
    let kept = heading.trim_matches(['#', ' ']).to_lowercase();
    let kept = kept.chars().filter(|c| c.is_alphanumeric() || [' ', '-', '_'].contains(c));
    kept.collect::<String>().replace(' ', "-")
}

/// A sentence of underscores in backticks is the name of a test.
#[test]
fn tests_that_are_named_are_there() {
    let code = code(&Path::new(ROOT).join("tests")) + &code(&Path::new(ROOT).join("src"));
    let mut named = 0;
    for document in documents() {
        let text = read(&Path::new(ROOT).join(&document));
        for name in text.split('`').skip(1).step_by(2) {
            let word = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if word && name.matches('_').count() > 2 && name.contains(char::is_lowercase) {
                named += 1;
                assert!(code.contains(&format!("fn {name}(")), "{document}: no test {name}");
            }
        }
    }
    assert!(named > 0);
}

#[test]
fn links_lead_somewhere() {
    for document in documents() {
        let path = Path::new(ROOT).join(&document);
        let text = read(&path);
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.contains("://")) {
            let (file, heading) = target.split_once('#').unwrap_or((target, ""));
            let directory = path.parent().expect("a directory");
            let file: PathBuf = if file.is_empty() { path.clone() } else { directory.join(file) };
            assert!(file.exists(), "{document}: {target}");
            let there = heading.is_empty()
                || read(&file).lines().any(|line| line.starts_with('#') && anchor(line) == heading);
            assert!(there, "{document}: no heading for {target}");
        }
    }
}
