//! The checklists of ARCHITECTURE.md: each test fails with the place that a change has left out.

use crate::laws::MAY_USE;
use std::{collections::BTreeSet, fs, path::Path};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(ROOT).join(path)).unwrap_or_else(|cause| panic!("{path}: {cause}"))
}

/// The variants of `BackendName` that make rules, as the source has them.
fn backends() -> Vec<String> {
    let record = read("src/model/record.rs");
    let list = record.split("pub(crate) const ALL: [Self; ").nth(1).expect("BackendName::ALL");
    let list = list.split('[').nth(1).and_then(|rest| rest.split(']').next()).expect("a list");
    list.split(',').map(|variant| variant.trim().trim_start_matches("Self::").to_owned()).collect()
}

/// The modules of the engines in `engine::ENGINES`.
fn engines() -> Vec<String> {
    let engines = read("src/engine/mod.rs");
    let list = engines.split("const ENGINES:").nth(1).expect("ENGINES");
    let list = list.split("];").next().expect("a list");
    list.split('&').skip(2).filter_map(|item| Some(item.split("::").next()?.to_owned())).collect()
}

#[test]
fn every_backend_is_tested_and_documented() {
    let backends = backends();
    assert!(backends.len() >= 3, "{backends:?}");
    for variant in backends {
        let name = variant.to_lowercase();
        let tested = read("tests/it/backends.rs").contains(&format!("BackendName::{variant})"));
        assert!(tested, "tests/it/backends.rs: each_backend! lacks {variant}");
        for list in [
            "tests/crash/scene.rs",
            "tests/crash/crowd.rs",
            "tests/crash/attempts.rs",
            "tests/it/firewall/bridges.rs",
            "tests/it/firewall/reuse.rs",
            "benches/hook/rig.rs",
            "benches/hook/hooks.rs",
            "benches/hook/plot.rs",
        ] {
            assert!(read(list).contains(&format!("\"{name}\"")), "{list} lacks {name}");
        }
        for document in [
            "src/commands/man/oci-link.toml.5",
            "docs/reference.md",
            "docs/lifecycle.md",
            "docs/performance.md",
        ] {
            assert!(read(document).contains(&name), "{document} lacks {name}");
        }
    }
}

#[test]
fn every_engine_is_recorded_and_documented() {
    let engines = engines();
    assert!(engines.contains(&"podman".to_owned()), "{engines:?}");
    for module in engines.iter().filter(|module| *module != "bare") {
        let source = read(&format!("src/engine/{module}.rs"));
        let name = source.split("fn name(&self)").nth(1).and_then(|rest| rest.split('"').nth(1));
        let name = name.unwrap_or_else(|| panic!("src/engine/{module}.rs has no name"));
        let row = format!("| {name} |");
        let documented = read("docs/engines.md").contains(&row);
        assert!(documented, "docs/engines.md: the table of facts lacks {name}");
        let recorded =
            fs::read_dir(Path::new(ROOT).join("test-bundles/recorded")).expect("recorded");
        let has = recorded
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .any(|folder| folder.starts_with(module.as_str()));
        assert!(has, "test-bundles/recorded lacks a container of {module}");
        let tests = read("src/engine/tests.rs").contains(&format!("(\"{module}"));
        assert!(tests, "src/engine/tests.rs reads no container of {module}");
    }
}

#[test]
fn every_command_is_in_the_reference() {
    let cli = read("src/cli.rs");
    let variants = cli.split("pub(crate) enum Command {").nth(1).expect("Command");
    let variants = variants.split("\n}").next().expect("an end");
    let lines = variants.lines().filter(|line| line.starts_with("    ") && !line.contains("//"));
    let commands: Vec<String> =
        lines.filter_map(|line| line.trim().split(['(', ',']).next()).map(kebab).collect();
    assert!(commands.contains(&"doctor".to_owned()), "{commands:?}");
    let reference = read("docs/reference.md");
    for command in commands {
        let named = [format!("`{command}"), format!("oci-link {command}"), format!(" {command}`")];
        assert!(
            named.iter().any(|name| reference.contains(name)),
            "docs/reference.md lacks {command}"
        );
    }
}

/// The name of a command, as clap makes it of a variant.
fn kebab(variant: &str) -> String {
    let mut name = String::new();
    for letter in variant.chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('-');
        }
        name.extend(letter.to_lowercase());
    }
    name
}

/// The column "may use" is the law, without `error`, which all but `model` and `link` use.
#[test]
fn the_table_of_folders_is_the_law() {
    let architecture = read("ARCHITECTURE.md");
    let mut named = BTreeSet::new();
    for row in architecture.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let quoted = |cell: &str| -> BTreeSet<String> {
            let names = cell.split('`').skip(1).step_by(2);
            names
                .map(|name| name.trim_end_matches('/').trim_end_matches(".rs").to_owned())
                .collect()
        };
        for folder in quoted(cells[1]) {
            let (_, law) = MAY_USE.iter().find(|(name, _)| *name == folder).expect("a law");
            let law: BTreeSet<String> =
                law.iter().filter(|name| **name != "error").map(ToString::to_string).collect();
            assert_eq!(quoted(cells[3]), law, "ARCHITECTURE.md, what {folder} may use");
            named.insert(folder);
        }
    }
    let laws: BTreeSet<String> = MAY_USE.iter().map(|(name, _)| (*name).to_owned()).collect();
    let missing: Vec<_> = laws.difference(&named).filter(|name| *name != "main").collect();
    assert!(missing.is_empty(), "ARCHITECTURE.md lacks {missing:?}");
}

#[test]
fn every_file_that_architecture_names_exists() {
    let architecture = read("ARCHITECTURE.md");
    let mut named = 0;
    for word in architecture.split('`').skip(1).step_by(2) {
        let path = word.trim_end_matches('/');
        let is_file = [".rs", ".md", ".5", ".7", ".ld"].iter().any(|end| path.ends_with(end));
        if !is_file {
            continue;
        }
        let places = [path.to_owned(), format!("src/{path}"), format!("tests/it/documents/{path}")];
        let exists = places.iter().any(|place| Path::new(ROOT).join(place).exists());
        // `THEME.rs` and the like stand for any file.
        let is_pattern = path.contains("NAME") || path.contains("THEME");
        assert!(exists || is_pattern || !path.contains('/'), "ARCHITECTURE.md names {path}");
        named += 1;
    }
    assert!(named > 30, "{named}");
}
