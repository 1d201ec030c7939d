//! Bytes of a hosts file that are not ours never change: as functions of bytes, and in files.

use super::cases;
use oci_link::testing::HostsFile;
use oci_link::testing::hosts::{BEGIN, END, block, contains, edited, line, without};
use proptest::prelude::*;
use std::{
    fs,
    net::IpAddr,
    os::unix::fs::MetadataExt,
    path::Path,
    sync::atomic::{AtomicU32, Ordering::Relaxed},
};

/// What others write: lines of any bytes, lines like ours, markers of their own; the last line with
/// its end or without.
fn theirs() -> impl Strategy<Value = Vec<u8>> {
    let forged = [BEGIN, END, "10.0.0.2\tdb 0a0a", "127.0.0.1\tlocalhost", "", "#####", "a\r"];
    let line = prop_oneof![
        prop::sample::select(forged.to_vec()).prop_map(|line| line.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
        "10\\.0\\.0\\.[0-9]\t[a-z]{1,3}".prop_map(String::into_bytes),
    ];
    (prop::collection::vec(line, 0..8), any::<bool>()).prop_map(|(lines, ends)| {
        let mut text = lines.join(&b'\n');
        text.extend(if ends { &b"\n"[..] } else { b"" });
        text
    })
}

/// What we write. The first byte of an address keeps them apart from lines of others.
fn ours() -> impl Strategy<Value = Vec<String>> {
    let line = ("10\\.7\\.[0-9]\\.[0-9]", prop::collection::vec("[a-z0-9]{1,12}", 1..4)).prop_map(
        |(ip, names)| {
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            line(ip.parse::<IpAddr>().expect("an address"), &names)
        },
    );
    prop::collection::btree_set(line, 1..5).prop_map(|lines| lines.into_iter().collect())
}

fn lines_of(content: &[u8]) -> Vec<&[u8]> {
    content.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect()
}

fn count(content: &[u8], marker: &str) -> usize {
    lines_of(content).into_iter().filter(|line| *line == marker.as_bytes()).count()
}

proptest! {
    #![proptest_config(cases(200))]

    /// In, again with other lines, and out: every byte is what it was, and the block is there once.
    #[test]
    fn what_was_there_comes_back(base in theirs(), first in ours(), second in ours()) {
        let one = block(&base, &first);
        let content = edited(&base, &[], &[], &one);
        prop_assert_eq!(&content, &[&base[..], one.as_bytes()].concat());
        prop_assert!(contains(&content, &one));
        let runs_on = !base.is_empty() && !base.ends_with(b"\n");
        prop_assert_eq!(one.starts_with('\n'), runs_on, "no empty line without need");
        let two = block(&base, &second);
        let content = edited(&content, &[&one], &[], &two);
        prop_assert_eq!(&content, &[&base[..], two.as_bytes()].concat());
        prop_assert_eq!(count(&content, BEGIN), count(&base, BEGIN) + 1);
        prop_assert_eq!(edited(&content, &[&two], &[], &two), content.clone(), "twice is once");
        prop_assert_eq!(without(&content, &[&one, &two], &[]), base);
    }

    /// Other programs add lines in front, behind and inside: none of them is lost.
    #[test]
    fn no_line_of_others_is_lost(
        base in theirs(),
        lines in ours(),
        front in theirs(),
        behind in theirs(),
        inside in "[a-z]{1,9}",
        at in any::<prop::sample::Index>(),
    ) {
        let block = block(&base, &lines);
        let text = block.trim_start_matches('\n');
        let brought = &block[..block.len() - text.len()];
        let inner: Vec<&str> = text.lines().collect();
        let at = 1 + at.index(inner.len() - 1);
        let (before, after) = inner.split_at(at);
        let changed = [before, &[inside.as_str()], after].concat().join("\n");
        let front = if front.ends_with(b"\n") { front } else { Vec::new() };
        let mut found = [&front[..], &base, brought.as_bytes(), changed.as_bytes(), b"\n"].concat();
        found.extend_from_slice(&behind);

        let left = without(&found, &[&block], &[]);
        let mut expected = [&front[..], &base, b"\n", inside.as_bytes(), b"\n"].concat();
        expected.extend_from_slice(&behind);
        prop_assert_eq!(lines_of(&left), lines_of(&expected));
    }

    /// Two containers have one file. When one ends, the block of the other is unchanged.
    #[test]
    fn a_neighbours_block_stays(base in theirs(), mine in ours(), other in ours(), mine_first: bool) {
        let [first, second] = if mine_first { [&mine, &other] } else { [&other, &mine] };
        let one = block(&base, first);
        let content = [&base[..], one.as_bytes()].concat();
        let two = block(&content, second);
        let content = [&content[..], two.as_bytes()].concat();
        let (mine, other) = if mine_first { (one, two) } else { (two, one) };
        prop_assume!(mine.trim_start() != other.trim_start());
        let left = without(&content, &[&mine], std::slice::from_ref(&other));
        prop_assert!(contains(&left, &other) || contains(&left, other.trim_start_matches('\n')));
        let left = without(&left, &[&other], &[]);
        prop_assert_eq!(lines_of(&left), lines_of(&base));
    }
}

/// A file as engines mount one.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn with(content: &[u8]) -> Self {
        static MADE: AtomicU32 = AtomicU32::new(0);
        let name = format!("oci-link-hosts-{}-{}", std::process::id(), MADE.fetch_add(1, Relaxed));
        let file = Self(std::env::temp_dir().join(name));
        fs::write(&file.0, content).expect("written");
        file
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

proptest! {
    #![proptest_config(cases(100))]

    /// The same in a file, which stays the same file, whatever is longer than what.
    #[test]
    fn a_mounted_file_is_written_in_its_place(base in theirs(), blocks in prop::collection::vec(ours(), 1..4)) {
        let file = Mounted::with(&base);
        let inode = fs::metadata(&file.0).expect("there").ino();
        let state = Path::new("/run/oci-link");
        let mut written = String::new();
        for lines in blocks {
            let next = block(&base, &lines);
            let mut hosts = HostsFile::of_mount(&file.0, state).expect("a hosts file");
            let change = |now: Option<&[u8]>| edited(now.expect("there"), &[&written], &[], &next);
            hosts.edit(change).expect("edited");
            let now = fs::read(&file.0).expect("readable");
            prop_assert_eq!(now, [&base[..], next.as_bytes()].concat());
            written = next;
        }
        let mut hosts = HostsFile::of_mount(&file.0, state).expect("a hosts file");
        hosts.edit(|now| without(now.expect("there"), &[&written], &[])).expect("edited");
        prop_assert_eq!(fs::read(&file.0).expect("readable"), base);
        prop_assert_eq!(fs::metadata(&file.0).expect("there").ino(), inode);
    }
}
