//! Reads the imports of the source files: the folders they name, and the files behind `use` lines.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, path::Path};

const SRC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src");

/// A file of `src`.
pub(super) struct SourceFile {
    /// Its path below `src`.
    pub(super) path: String,
    /// Its text without comment lines.
    pub(super) code: String,
}

/// All of them, sorted by path.
pub(super) fn sources() -> Vec<SourceFile> {
    fn walk(directory: &Path, found: &mut Vec<SourceFile>) {
        for entry in fs::read_dir(directory).expect("src can be read") {
            let path = entry.expect("src can be read").path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|end| end == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let code = text.lines().filter(|line| !line.trim_start().starts_with("//"));
                let path = path.strip_prefix(SRC).expect("below src").display().to_string();
                found.push(SourceFile { path, code: code.collect::<Vec<_>>().join("\n") });
            }
        }
    }
    let mut files = Vec::new();
    walk(Path::new(SRC), &mut files);
    files.sort_by(|a, b| a.path.cmp(&b.path));
    files
}

impl SourceFile {
    /// The folder of `src` that it is in, or its own name if it is in none.
    pub(super) fn folder(&self) -> &str {
        self.path.split('/').next().unwrap_or_default().trim_end_matches(".rs")
    }

    /// The folders that it names anywhere, tests included.
    pub(super) fn used_folders(&self) -> BTreeSet<String> {
        let root = if self.path == "main.rs" { "oci_link" } else { "crate" };
        let mut folders: BTreeSet<String> = BTreeSet::new();
        for path in use_paths(&self.code) {
            if path.first().is_some_and(|first| first == root) {
                folders.extend(path.get(1).cloned());
            }
        }
        let root = format!("{root}::");
        // `$crate::` is a path in a macro, for the crate that uses it.
        for (at, _) in
            self.code.match_indices(&root).filter(|(at, _)| !self.code[..*at].ends_with('$'))
        {
            folders.insert(word(&self.code[at + root.len()..]));
        }
        folders.remove("");
        folders
    }

    /// The first segments of its `use` lines.
    pub(super) fn first_segments(&self) -> BTreeSet<String> {
        use_paths(&self.code).into_iter().filter_map(|path| path.into_iter().next()).collect()
    }

    /// The other files that its `use` lines name, tests left out. A path leads to the file of its
    /// longest part that is a module. The modules that contain this file are left out too: a parent
    /// may declare the types that its children share and use the children itself.
    pub(super) fn imported_files<'a>(&self, all: &'a [Self]) -> BTreeSet<&'a str> {
        let code = self.code.split("#[cfg(test)]").next().unwrap_or_default();
        let own = module(&self.path);
        let absolute = |path: Vec<String>| -> Option<Vec<String>> {
            let ups = path.iter().take_while(|part| *part == "super").count();
            match path.first()?.as_str() {
                "crate" => Some(path[1..].to_vec()),
                "self" => Some([own.clone(), path[1..].to_vec()].concat()),
                "super" => Some([own[..own.len() - ups].to_vec(), path[ups..].to_vec()].concat()),
                // A child module of this file.
                _ => Some([own.clone(), path].concat()),
            }
        };
        let file_of = |path: Vec<String>| {
            let found = (1..=path.len())
                .rev()
                .find_map(|length| all.iter().find(|file| module(&file.path) == path[..length]));
            found.map(|file| file.path.as_str())
        };
        let paths = use_paths(code).into_iter().filter_map(absolute);
        paths.filter_map(file_of).filter(|path| !own.starts_with(&module(path))).collect()
    }
}

/// The shortest way from `start` along `graph` that ends where it began, if there is one.
pub(super) fn path_back<'a>(
    graph: &BTreeMap<&'a str, BTreeSet<&'a str>>,
    start: &'a str,
) -> Option<Vec<&'a str>> {
    let mut ways = std::collections::VecDeque::from([vec![start]]);
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop_front() {
        for next in way.last().and_then(|last| graph.get(last)).into_iter().flatten() {
            let longer = [way.clone(), vec![*next]].concat();
            if *next == start {
                return Some(longer);
            }
            if seen.insert(*next) {
                ways.push_back(longer);
            }
        }
    }
    None
}

/// `sys/net/mod.rs` is the module `sys::net`.
fn module(path: &str) -> Vec<String> {
    let path = path.trim_end_matches(".rs").trim_end_matches("/mod");
    path.split('/').filter(|part| *part != "lib").map(str::to_owned).collect()
}

fn word(text: &str) -> String {
    text.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect()
}

/// The paths of all `use` lines, groups in braces taken apart.
fn use_paths(code: &str) -> Vec<Vec<String>> {
    let mut paths = Vec::new();
    for (at, _) in code.match_indices("use ") {
        let line_start = code[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let before = code[line_start..at].trim();
        if before.is_empty() || before.starts_with("pub") {
            let tree = code[at + 4..].split(';').next().unwrap_or_default();
            flatten(&[], tree, &mut paths);
        }
    }
    paths
}

fn flatten(prefix: &[String], tree: &str, paths: &mut Vec<Vec<String>>) {
    let tree = tree.trim();
    let (head, group) = match tree.split_once('{') {
        Some((head, rest)) => (head, Some(rest.strip_suffix('}').unwrap_or(rest))),
        None => (tree, None),
    };
    let segments = head.split("::").map(word).filter(|part| !part.is_empty());
    let path: Vec<String> = prefix.iter().cloned().chain(segments).collect();
    let Some(group) = group else {
        paths.push(path);
        return;
    };
    let (mut depth, mut item) = (0, String::new());
    for c in group.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 0 => {
                flatten(&path, &std::mem::take(&mut item), paths);
                continue;
            }
            _ => {}
        }
        item.push(c);
    }
    if !item.trim().is_empty() {
        flatten(&path, &item, paths);
    }
}
