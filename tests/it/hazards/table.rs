//! The table in docs/security.md names every number of the catalogue and every test that bears one,
//! and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// The numbers of the catalogue, as tests write them: two of A are not used.
fn numbers() -> BTreeSet<String> {
    let a = (1..=44).filter(|number| ![27, 40].contains(number)).map(|n| format!("a{n:02}"));
    let f = (1..=39).map(|n| format!("f{n:02}"));
    let h = (1..=23).map(|n| format!("h{n:02}"));
    a.chain(f).chain((1..=6).map(|n| format!("i{n}"))).chain(h).collect()
}

/// The number that the name of a test begins with, if it does.
fn number(name: &str) -> Option<&str> {
    let (number, _) = name.split_once('_')?;
    let digits = number.strip_prefix(['a', 'f', 'h', 'i'])?;
    let given = !digits.is_empty() && digits.chars().all(|c| c.is_ascii_digit());
    given.then_some(number)
}

/// The tests in the files below `directory` that bear a number, with their modules before them.
fn written(directory: &Path, modules: &str, found: &mut BTreeSet<String>) {
    for entry in fs::read_dir(directory).expect("tests can be read") {
        let path = entry.expect("tests can be read").path();
        let stem = path.file_stem().expect("a name").to_string_lossy();
        let inside = match stem.as_ref() {
            "main" | "mod" => modules.to_owned(),
            stem => format!("{modules}{stem}::"),
        };
        if path.is_dir() {
            written(&path, &inside, found);
            continue;
        }
        let text = fs::read_to_string(&path).expect("a source file");
        for line in text.lines().map(str::trim_start) {
            // A function, or what a macro makes tests of.
            let name = match line.strip_prefix("fn ") {
                Some(rest) => rest.split('(').next(),
                None => line.split_once(" => ").map(|(name, _)| name),
            };
            if let Some(name) = name.filter(|name| number(name).is_some()) {
                found.insert(format!("{inside}{name}"));
            }
        }
    }
}

/// The rows of the table: the tests of each number, and what is said besides.
fn table() -> BTreeMap<String, (BTreeSet<String>, String)> {
    let text = fs::read_to_string(format!("{ROOT}/docs/security.md")).expect("a document");
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let ["", number, _, _, tests, ""] = cells[..] else { continue };
        let (letter, digits) = number.split_at(1);
        let Ok(digits) = digits.parse::<u8>() else { continue };
        let number = match letter {
            "I" => format!("i{digits}"),
            _ => format!("{}{digits:02}", letter.to_lowercase()),
        };
        let names = tests.split('`').skip(1).step_by(2).map(String::from).collect();
        let again = rows.insert(number.clone(), (names, tests.to_owned()));
        assert_eq!(again, None, "two rows for {number}");
    }
    rows
}

#[test]
fn the_table_and_the_tests_agree() {
    let rows = table();
    let missing: Vec<_> = numbers().into_iter().filter(|n| !rows.contains_key(n)).collect();
    assert_eq!(missing, [""; 0], "numbers without a row");
    let mut there = BTreeSet::new();
    for (target, modules) in [("it", ""), ("crash", "crash::"), ("harmless", "harmless::")] {
        written(&Path::new(ROOT).join("tests").join(target), modules, &mut there);
    }
    let mut told = BTreeSet::new();
    for (row, (names, cell)) in &rows {
        assert!(numbers().contains(row), "{row} is no number of the catalogue");
        let said = cell.starts_with("not testable here: ");
        assert_eq!(said, names.is_empty(), "{row}: tests, or why there are none: {cell}");
        for name in names {
            let last = name.rsplit("::").next().expect("a name");
            assert_eq!(number(last), Some(row.as_str()), "{name} in the row of {row}");
            told.insert(name.clone());
        }
    }
    let only = |these: &BTreeSet<String>, those: &BTreeSet<String>| -> Vec<String> {
        these.difference(those).cloned().collect()
    };
    assert_eq!(only(&told, &there), [""; 0], "in docs/security.md, but no test");
    assert_eq!(only(&there, &told), [""; 0], "tests that docs/security.md does not name");
}
