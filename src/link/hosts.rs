//! Computes the content of a container's hosts file, with and without its hosts block.
//!
//! A new block is appended at the end, after all lines of the engine and the user. Resolvers use
//! the first line that has a name, and in Docker's files the other lines come first too. Other
//! bytes, of any encoding and with or without a final newline, are never changed.
//!
//! A container can write anything into its file, and other containers wait while it is searched. So each
//! search is one pass, and its time does not grow with lines × lines of ours.

use crate::model::{Alias, filler};
use std::collections::{HashMap, HashSet};
use std::hash::{Hash, Hasher};
use std::net::IpAddr;
use std::ops::Range;

/// The first line of a block.
pub const BEGIN: &str = "# BEGIN oci-link";
/// The last line of a block.
pub const END: &str = "# END oci-link";

/// Returns the hosts file that Docker creates for a container (libnetwork/etchosts).
///
/// `ipv6` tells whether the container's loopback interface has IPv6. Without it the IPv6 lines are
/// left out.
pub(crate) fn preamble(ipv6: bool) -> String {
    let v4 = "127.0.0.1\tlocalhost\n";
    let v6 = "::1\tlocalhost ip6-localhost ip6-loopback\n\
              fe00::\tip6-localnet\n\
              ff00::\tip6-mcastprefix\n\
              ff02::1\tip6-allnodes\n\
              ff02::2\tip6-allrouters\n";
    if ipv6 { format!("{v4}{v6}") } else { v4.to_owned() }
}

/// Returns one line without a newline. As in Docker, a tab follows the address and spaces separate
/// the names.
pub fn line(ip: IpAddr, names: &[&str]) -> String {
    format!("{ip}\t{}", names.join(" "))
}

/// Whether some line of `content` gives a name to `ip`.
pub(crate) fn mentions(content: &[u8], ip: IpAddr) -> bool {
    content.split(|b| *b == b'\n').any(|line| {
        let first = line.split(u8::is_ascii_whitespace).find(|word| !word.is_empty());
        first.and_then(|word| std::str::from_utf8(word).ok()?.parse().ok()) == Some(ip)
    })
}

/// Returns `content` without the lines that Docker wrote for links with these `aliases`.
///
/// Docker writes the alias, the host name of the source, and its name. A line with one name is a user's
/// (`--add-host`).
pub(crate) fn without_engine_lines(content: &[u8], aliases: &[Alias]) -> Vec<u8> {
    if aliases.is_empty() {
        return content.to_vec();
    }
    let is_engines = |line: &[u8]| {
        let mut words = line.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
        let is_address = |word: &[u8]| {
            std::str::from_utf8(word).is_ok_and(|word| word.parse::<IpAddr>().is_ok())
        };
        let (address, alias, more) = (words.next(), words.next(), words.next());
        address.is_some_and(is_address)
            && more.is_some_and(|word| !word.starts_with(b"#"))
            && aliases.iter().any(|known| alias == Some(known.as_str().as_bytes()))
    };
    let lines = content.split_inclusive(|byte| *byte == b'\n');
    lines.filter(|line| !is_engines(line)).collect::<Vec<_>>().concat()
}

/// Whether `content` contains `block` exactly as it was written.
pub fn contains(content: &[u8], block: &str) -> bool {
    cut_exact(content, block).is_some()
}

/// Whether `content` contains `block` besides the blocks of other containers, some of which may be equal to it.
pub(crate) fn contains_besides(content: &[u8], block: &str, shared: &[String]) -> bool {
    let says = |block: &str| block.trim_start_matches('\n').to_owned();
    let own = says(block);
    if !shared.iter().any(|other| says(other) == own) {
        return contains(content, block);
    }
    let lines: Vec<&[u8]> = content.split_inclusive(|b| *b == b'\n').collect();
    let theirs = occupied(&lines, shared);
    let left = lines.iter().zip(theirs).filter(|(_, theirs)| !theirs);
    contains(&left.flat_map(|(line, _)| line.iter().copied()).collect::<Vec<_>>(), &own)
}

/// Returns the block that is appended to `base`, or an empty string if there are no lines.
///
/// If `base` lacks a final newline, the block starts with one, which is removed together with the
/// block.
pub fn block(base: &[u8], lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let newline = if base.is_empty() || base.ends_with(b"\n") { "" } else { "\n" };
    format!("{newline}{BEGIN}\n{}\n{END}\n", lines.join("\n"))
}

/// Returns `content` with `block` in place of the blocks that were `written` before.
///
/// If the last line has lost its newline since the block was computed, one is added before the
/// block.
pub fn edited(content: &[u8], written: &[&str], shared: &[String], block: &str) -> Vec<u8> {
    let mut edited = without(content, written, shared);
    let runs_on = !edited.is_empty() && !edited.ends_with(b"\n") && !block.starts_with('\n');
    if runs_on && !block.is_empty() {
        edited.push(b'\n');
    }
    edited.extend_from_slice(block.as_bytes());
    edited
}

/// Returns `content` without this container's hosts block.
///
/// `written` are the blocks that the file may contain according to the record. `shared` are the
/// blocks of other containers with the same file, which stay.
///
/// 1. An unchanged block is cut out. The rest is, byte for byte, the file without the block.
/// 2. If the block was edited, its remaining lines and its markers are removed; all other lines
///    stay. A pair of markers around none of its lines is not this container's block.
/// 3. If an engine rewrote the file without the markers, the remaining lines of the block are
///    removed.
pub fn without(content: &[u8], written: &[&str], shared: &[String]) -> Vec<u8> {
    let written: Vec<&str> = written.iter().copied().filter(|block| !block.is_empty()).collect();
    let content = unfilled(content, &written);
    let cut = |block: &&str| {
        // An equal block of another container stays.
        cut_exact(content, block).filter(|_| contains_besides(content, block, shared))
    };
    if let Some(left) = written.iter().find_map(cut) {
        return left;
    }
    let ours: Vec<Line<'_>> = written
        .iter()
        .flat_map(|block| block.lines())
        .filter(|line| !line.is_empty() && *line != BEGIN && *line != END)
        .map(|line| Line(line.as_bytes()))
        .collect();
    if ours.is_empty() {
        return content.to_vec();
    }
    let lines: Vec<&[u8]> = content.split_inclusive(|b| *b == b'\n').collect();
    let theirs = occupied(&lines, shared);
    let known: HashSet<Line<'_>> = ours.iter().copied().collect();
    let gone = match edited_block(&lines, &known, &theirs) {
        Some((begin, end)) => {
            let inside = |at: &usize| *at > begin && *at < end && known.contains(&text(lines[*at]));
            let is_gone = |at: usize| at == begin || at == end || inside(&at);
            (0..lines.len()).map(is_gone).collect()
        }
        None => last_of_each(&lines, &ours, &theirs),
    };
    let kept = lines.iter().zip(gone).filter(|(_, gone)| !gone);
    kept.flat_map(|(line, _)| line.iter().copied()).collect()
}

/// Marks the last lines that are equal to `ours`: of equal lines as many as `ours` contains. Lines that
/// `theirs` marks are skipped.
fn last_of_each(lines: &[&[u8]], ours: &[Line<'_>], theirs: &[bool]) -> Vec<bool> {
    let mut left: HashMap<Line<'_>, usize> = HashMap::new();
    for line in ours {
        *left.entry(*line).or_default() += 1;
    }
    let mut gone = vec![false; lines.len()];
    for at in (0..lines.len()).rev().filter(|at| !theirs[*at]) {
        if let Some(count) = left.get_mut(&text(lines[at])).filter(|count| **count > 0) {
            *count -= 1;
            gone[at] = true;
        }
    }
    gone
}

/// Returns `content` without the filler that a killed writer left at its end.
///
/// Before a file is shortened, the bytes to be cut off are overwritten with a filler. Its length is
/// that of a written block, minus that of a shorter one if there is one. It may differ by one byte,
/// the newline at the start of a block.
fn unfilled<'a>(content: &'a [u8], written: &[&str]) -> &'a [u8] {
    let line = content.strip_suffix(b"\n").unwrap_or(content);
    let marks = line.iter().rev().take_while(|byte| **byte == b'#').count();
    let (left, there) = content.split_at(line.len() - marks);
    let fits = |longer: &&str, shorter: &str| {
        let less = longer.len().abs_diff(shorter.len());
        longer.len() > shorter.len() && less.abs_diff(there.len()) <= 1
    };
    let is_left = |longer: &&str| {
        let shorter = written.iter().copied().chain([""]);
        shorter.into_iter().any(|shorter| fits(longer, shorter)) && !contains(content, longer)
    };
    let is_filler = there == filler(there.len());
    if is_filler && written.iter().any(is_left) { left } else { content }
}

/// A line without its newline. Lines are found by their hash, so that the time for a file grows with its
/// length only, whatever the container wrote into it.
#[derive(Clone, Copy, Eq)]
struct Line<'a>(&'a [u8]);

impl PartialEq for Line<'_> {
    fn eq(&self, other: &Self) -> bool {
        #[cfg(test)]
        tests::COMPARED.set(tests::COMPARED.get() + 1);
        self.0 == other.0
    }
}

impl Hash for Line<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

/// Returns a line without its newline.
fn text(line: &[u8]) -> Line<'_> {
    Line(line.strip_suffix(b"\n").unwrap_or(line))
}

/// Cuts out the last occurrence of `block`. Returns `None` if there is none or it does not start a
/// line.
fn cut_exact(content: &[u8], block: &str) -> Option<Vec<u8>> {
    let block = block.as_bytes();
    let at = content.windows(block.len()).rposition(|window| window == block)?;
    let (before, after) = (&content[..at], &content[at + block.len()..]);
    let brought_newline = block.starts_with(b"\n");
    if !(brought_newline || before.is_empty() || before.ends_with(b"\n")) {
        return None;
    }
    // The newline that starts the block also ends the line before it. It stays if text follows the
    // block; otherwise two lines would become one.
    let kept = if brought_newline && !after.is_empty() { &b"\n"[..] } else { b"" };
    Some([before, kept, after].concat())
}

/// Marks the lines that are part of an unchanged block of `shared`.
///
/// Each of `shared` takes its last occurrence that no other one has. A block begins and ends with a
/// marker and has no other one, so blocks in the file do not overlap.
fn occupied(lines: &[&[u8]], shared: &[String]) -> Vec<bool> {
    let mut occupied = vec![false; lines.len()];
    if shared.is_empty() {
        return occupied;
    }
    let mut blocks: HashMap<Vec<Line<'_>>, Vec<Range<usize>>> = HashMap::new();
    let mut open = None;
    for (at, line) in lines.iter().enumerate() {
        if text(line) == Line(BEGIN.as_bytes()) {
            open = Some(at);
        } else if text(line) == Line(END.as_bytes()) {
            if let Some(begin) = open.take() {
                let block = lines[begin..=at].iter().map(|line| text(line)).collect();
                blocks.entry(block).or_default().push(begin..at + 1);
            }
        }
    }
    for block in shared {
        let block: Vec<Line<'_>> =
            block.trim_start_matches('\n').lines().map(|line| Line(line.as_bytes())).collect();
        if let Some(range) = blocks.get_mut(&block).and_then(Vec::pop) {
            occupied[range].fill(true);
        }
    }
    occupied
}

/// Finds the last pair of markers that encloses a line of `ours` and no other marker.
///
/// `theirs` marks lines of other containers' blocks, which are skipped. Returns the indexes of both
/// markers.
fn edited_block(
    lines: &[&[u8]],
    ours: &HashSet<Line<'_>>,
    theirs: &[bool],
) -> Option<(usize, usize)> {
    let mut found = None;
    let mut open = None;
    for (at, line) in lines.iter().enumerate().filter(|(at, _)| !theirs[*at]) {
        if text(line) == Line(BEGIN.as_bytes()) {
            open = Some(at);
        } else if text(line) == Line(END.as_bytes()) {
            let is_ours =
                |begin: &usize| lines[*begin..at].iter().any(|line| ours.contains(&text(line)));
            let block = open.take().filter(is_ours).map(|begin| (begin, at));
            found = block.or(found);
        }
    }
    found
}

#[cfg(test)]
mod tests;
