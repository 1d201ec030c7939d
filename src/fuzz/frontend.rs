//! Fuzz target for command lines of docker and podman: words that NUL bytes separate, the client's
//! name first.

use crate::frontend::{Client, Surroundings, rewrite};
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

/// A client with a short help text, on a host without files.
struct Nothing;

impl Surroundings for Nothing {
    fn output(&self, _: &[OsString]) -> Option<String> {
        let lines =
            ["--annotation map   x", "--link list   x", "--runtime string   x", "--new   x"];
        Some(lines.map(|line| format!("      {line}\n")).concat())
    }

    fn variable(&self, _: &str) -> Option<OsString> {
        None
    }

    fn read(&self, _: &Path) -> Option<Vec<u8>> {
        None
    }

    fn entries(&self, _: &Path) -> Vec<PathBuf> {
        Vec::new()
    }
}

/// Rewrites any command line. One without `--link` stays as it is. Otherwise one annotation is added,
/// under docker with a runtime. Words before it are only left out, and words after it stay. Under
/// podman a second call changes nothing.
pub fn frontend(bytes: &[u8]) {
    let mut words = bytes.split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned());
    let name = words.next().unwrap_or_default();
    let client = if name == "podman" { Client::Podman } else { Client::Docker };
    let words: Vec<OsString> = words.collect();
    let Ok(rewritten) = rewrite(client, &words, &Nothing) else { return };
    let is_link = |word: &&OsString| word.as_bytes().starts_with(b"--link");
    let Some(new) = rewritten else { return };
    assert!(words.iter().any(|word| is_link(&word)), "without a link: {words:?}");

    let is_edit = |at: usize| {
        let (head, rest) = new.split_at(at);
        let [option, value, rest @ ..] = rest else { return false };
        let key = b"org.oci-link.links=";
        let tail = match rest {
            [option, _, tail @ ..] if option == "--runtime" && client == Client::Docker => tail,
            tail => tail,
        };
        let mut before = words[..words.len().saturating_sub(tail.len())].iter();
        option == "--annotation"
            && value.as_bytes().starts_with(key)
            && words.ends_with(tail)
            && head.iter().all(|word| before.any(|other| other == word))
    };
    assert!((0..new.len()).any(is_edit), "{words:?} became {new:?}");
    if client == Client::Podman {
        let again = rewrite(client, &new, &Nothing).ok().flatten();
        assert_eq!(again, None, "{words:?} became {new:?}");
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    /// Words of command lines, and odd ones.
    fn word() -> impl Strategy<Value = String> {
        let known = "--link --link=a:b a:b --link=a:localhost run create container -d -it -e -p --rm \
                     --name --name=w -- - img --network n1 --annotation -H x --runtime -ditw --new \
                     --annotation=org.oci-link.links=q --debug -c --link= org.oci-link.links=none";
        let known: Vec<_> = known.split_whitespace().map(str::to_owned).collect();
        prop_oneof![8 => prop::sample::select(known), 1 => "-{0,2}[a-z=]{0,4}"]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn promises_hold(words in prop::collection::vec(word(), 0..12), podman: bool) {
            let name = if podman { "podman" } else { "docker" };
            super::frontend(format!("{name}\0run\0{}", words.join("\0")).as_bytes());
        }
    }
}
