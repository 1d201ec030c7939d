//! Fuzz target for hosts files. Containers can write anything into them; bytes that are not ours
//! must never change.

use crate::link::hosts::{BEGIN, END, block, edited, line, without};
use std::net::{IpAddr, Ipv4Addr};

/// Takes four parts separated by NUL: a hosts file; the names in our block, one line each; what the
/// container appends after the block; and what it writes in place of the whole file.
pub fn hosts(bytes: &[u8]) {
    let mut parts = bytes.split(|byte| *byte == 0);
    let mut part = || parts.next().unwrap_or_default();
    let (base, names, tail, instead) = (part(), part(), part(), part());
    let lines = lines_of(names);
    if lines.is_empty() {
        return;
    }
    let ours = block(base, &lines);
    let there = edited(base, &[], &[], &ours);
    assert_eq!(there, [base, ours.as_bytes()].concat());
    assert_eq!(without(&there, &[&ours], &[]), base, "what is put in comes out");

    let holds = |bytes: &[u8]| bytes.windows(ours.len()).any(|part| part == ours.as_bytes());
    let longer = [&there, tail].concat();
    if !holds(&longer[there.len() - ours.len() + 1..]) {
        let newline = if ours.starts_with('\n') && !tail.is_empty() { "\n" } else { "" };
        let expected = [base, newline.as_bytes(), tail].concat();
        assert_eq!(without(&longer, &[&ours], &[]), expected, "what is added stays");
    }

    // Edit with an older block of one line less, while another container has its block in the same
    // file.
    let shorter = block(base, &lines[1..]);
    let shared = [block(b"", &lines_of(tail))];
    for content in [instead, &longer, &cut(&longer, instead)] {
        let written = [ours.as_str(), &shorter];
        let left = without(content, &written, &shared);
        only_ours_went(content, &left, &ours);
        assert_eq!(without(&left, &[], &shared), left, "nothing of ours, nothing to do");
        let again = edited(content, &written, &shared, &ours);
        let back = without(&again, &[&ours], &[]);
        assert!(back == left || back == [&left, &b"\n"[..]].concat(), "{back:?}, not {left:?}");
    }
}

/// Hosts lines in the form that plans contain.
fn lines_of(names: &[u8]) -> Vec<String> {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_. ".contains(byte);
    let lines = names.split(|byte| *byte == b'\n').zip(1..=9);
    let lines = lines.filter_map(|(name, last)| {
        let name: String = name.iter().filter(|byte| fits(byte)).map(|b| char::from(*b)).collect();
        let ip = IpAddr::from(Ipv4Addr::new(10, 0, 0, last));
        (!name.trim().is_empty()).then(|| line(ip, &[&name]))
    });
    lines.collect()
}

/// `content` with a range removed; the first two bytes of `seed` give the range.
fn cut(content: &[u8], seed: &[u8]) -> Vec<u8> {
    let at = |which: usize| usize::from(seed.get(which).copied().unwrap_or(255));
    let (from, to) = (at(0).min(content.len()), at(1).min(content.len()));
    [&content[..from.min(to)], &content[from.max(to)..]].concat()
}

/// Checks that `left` is `content` in the same order, without lines of `ours`, markers and fillers.
fn only_ours_went(content: &[u8], left: &[u8], ours: &str) {
    let mut rest = lines(content).peekable();
    let mut gone: Vec<&[u8]> = Vec::new();
    for kept in lines(left) {
        loop {
            let Some(line) = rest.next() else {
                panic!("{:?} came from nowhere", String::from_utf8_lossy(kept));
            };
            // A filler may follow the last line.
            if line == kept || rest.peek().is_none() && is_filled(line, kept) {
                break;
            }
            gone.push(line);
        }
    }
    gone.extend(rest);
    let last = lines(content).last();
    let may_go =
        |line: &[u8], our: &[u8]| line == our || Some(line) == last && is_filled(line, our);
    for line in gone {
        let mut ours = ours.lines().chain([BEGIN, END, ""]);
        let is_ours = ours.any(|our| may_go(line, our.as_bytes()));
        assert!(is_ours, "{:?} went", String::from_utf8_lossy(line));
    }
}

/// Whether `line` is `start` and a filler.
fn is_filled(line: &[u8], start: &[u8]) -> bool {
    line.strip_prefix(start).is_some_and(|more| more.iter().all(|byte| *byte == b'#'))
}

fn lines(content: &[u8]) -> impl Iterator<Item = &[u8]> {
    content
        .split_inclusive(|byte| *byte == b'\n')
        .map(|line| line.strip_suffix(b"\n").unwrap_or(line))
}
