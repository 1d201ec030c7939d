//! The container's hosts file as bytes: what our block says, how it goes in, how it comes out.
//!
//! The block always stands at the end, after every line of the engine and the user: the first
//! line that has a name wins, and theirs come first in Docker's files too. Bytes that are not ours
//! (of any encoding, with or without a final newline) are never changed.

use crate::model::filler;
use std::net::IpAddr;

/// The first line of a block.
pub const BEGIN: &str = "# BEGIN oci-link";
/// The last line of a block.
pub const END: &str = "# END oci-link";

/// The hosts file that Docker makes for a container (libnetwork/etchosts); without the lines of
/// IPv6 where the container's loopback has none.
pub(crate) fn preamble(ipv6: bool) -> String {
    let v4 = "127.0.0.1\tlocalhost\n";
    let v6 = "::1\tlocalhost ip6-localhost ip6-loopback\n\
              fe00::\tip6-localnet\n\
              ff00::\tip6-mcastprefix\n\
              ff02::1\tip6-allnodes\n\
              ff02::2\tip6-allrouters\n";
    if ipv6 { format!("{v4}{v6}") } else { v4.to_owned() }
}

/// One line: Docker puts a tab after the address and spaces between the names.
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

/// Whether `content` holds the block as it was written.
pub fn contains(content: &[u8], block: &str) -> bool {
    cut_exact(content, block).is_some()
}

/// The block that goes to the end of `base`; no lines, no block. Where `base` lacks its final
/// newline, the block brings it and takes it along again when it goes.
pub fn block(base: &[u8], lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    let newline = if base.is_empty() || base.ends_with(b"\n") { "" } else { "\n" };
    format!("{newline}{BEGIN}\n{}\n{END}\n", lines.join("\n"))
}

/// `content` with `block` in place of what was `written` before. Whatever became of its last line
/// since the block was made, the block does not run into it.
pub fn edited(content: &[u8], written: &[&str], shared: &[String], block: &str) -> Vec<u8> {
    let mut edited = without(content, written, shared);
    let runs_on = !edited.is_empty() && !edited.ends_with(b"\n") && !block.starts_with('\n');
    if runs_on && !block.is_empty() {
        edited.push(b'\n');
    }
    edited.extend_from_slice(block.as_bytes());
    edited
}

/// `content` without our block. `written` are the blocks that may stand there, as recorded;
/// `shared` are those of other containers that have the same file, and stay.
///
/// 1. A block that stands there as it was written is cut out: what is left is, byte for byte, what
///    was there before.
/// 2. If somebody edited inside it, our lines and markers go and theirs stay. A pair of markers
///    around nothing of ours is not our block.
/// 3. If an engine rewrote the file and dropped the markers, our bare lines go.
pub fn without(content: &[u8], written: &[&str], shared: &[String]) -> Vec<u8> {
    let written: Vec<&str> = written.iter().copied().filter(|block| !block.is_empty()).collect();
    let content = unfilled(content, &written);
    if let Some(left) = written.iter().find_map(|block| cut_exact(content, block)) {
        return left;
    }
    let ours: Vec<&[u8]> = written
        .iter()
        .flat_map(|block| block.lines())
        .filter(|line| !line.is_empty() && *line != BEGIN && *line != END)
        .map(str::as_bytes)
        .collect();
    if ours.is_empty() {
        return content.to_vec();
    }
    let mut lines: Vec<&[u8]> = content.split_inclusive(|b| *b == b'\n').collect();
    let theirs = occupied(&lines, shared);
    match edited_block(&lines, &ours, &theirs) {
        Some((begin, end)) => {
            let mut at = 0;
            lines.retain(|line| {
                let inside = at > begin && at < end && ours.contains(&text(line));
                let marker = at == begin || at == end;
                at += 1;
                !inside && !marker
            });
        }
        None => {
            let mut gone = vec![false; lines.len()];
            for line in ours {
                let is_it = |at: &usize| text(lines[*at]) == line && !gone[*at] && !theirs[*at];
                if let Some(at) = (0..lines.len()).rev().find(is_it) {
                    gone[at] = true;
                }
            }
            let mut gone = gone.into_iter();
            lines.retain(|_| gone.next() != Some(true));
        }
    }
    lines.concat()
}

/// `content` without the filler that a writer leaves who is killed: it is as long as what a block was
/// longer than the next one, or than none, give or take the newline that a block may bring.
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

/// A line without its newline.
fn text(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\n").unwrap_or(line)
}

/// Cuts the last occurrence of `block` that starts a line.
fn cut_exact(content: &[u8], block: &str) -> Option<Vec<u8>> {
    let block = block.as_bytes();
    let at = content.windows(block.len()).rposition(|window| window == block)?;
    let (before, after) = (&content[..at], &content[at + block.len()..]);
    let brought_newline = block.starts_with(b"\n");
    if !(brought_newline || before.is_empty() || before.ends_with(b"\n")) {
        return None;
    }
    // What somebody appended behind us must not run into what was the file's last line.
    let kept = if brought_newline && !after.is_empty() { &b"\n"[..] } else { b"" };
    Some([before, kept, after].concat())
}

/// Which lines are in a block of `shared` that stands as it was written.
fn occupied(lines: &[&[u8]], shared: &[String]) -> Vec<bool> {
    let mut occupied = vec![false; lines.len()];
    for block in shared {
        let block: Vec<&[u8]> = block.trim_start_matches('\n').lines().map(str::as_bytes).collect();
        let stands = |at: &usize| {
            let there = lines[*at..*at + block.len()].iter().map(|line| text(line));
            there.eq(block.iter().copied()) && !occupied[*at]
        };
        let last = if block.is_empty() { 0 } else { (lines.len() + 1).saturating_sub(block.len()) };
        if let Some(at) = (0..last).rev().find(stands) {
            occupied[at..at + block.len()].fill(true);
        }
    }
    occupied
}

/// The last pair of markers with one of our lines between them and no other marker.
fn edited_block(lines: &[&[u8]], ours: &[&[u8]], theirs: &[bool]) -> Option<(usize, usize)> {
    let mut found = None;
    let mut open = None;
    for (at, line) in lines.iter().enumerate().filter(|(at, _)| !theirs[*at]) {
        if text(line) == BEGIN.as_bytes() {
            open = Some(at);
        } else if text(line) == END.as_bytes() {
            let is_ours =
                |begin: &usize| lines[*begin..at].iter().any(|line| ours.contains(&text(line)));
            let block = open.take().filter(is_ours).map(|begin| (begin, at));
            found = block.or(found);
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: [&str; 2] = ["10.0.0.2\tdb 0a0a", "10.0.0.3\tweb"];

    fn lines() -> Vec<String> {
        LINES.map(String::from).to_vec()
    }

    /// With the block, then without it again.
    fn round_trip(base: &[u8], edit: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Vec<u8> {
        let block = block(base, &lines());
        let written = [base, block.as_bytes()].concat();
        without(&edit(written), &[&block], &[])
    }

    fn replaced(content: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
        String::from_utf8(content).unwrap().replace(from, to).into_bytes()
    }

    #[test]
    fn every_byte_comes_back() {
        let bases: [&[u8]; 8] = [
            b"",
            b"127.0.0.1\tlocalhost\n",
            b"127.0.0.1\tlocalhost",
            b"127.0.0.1 localhost\r\n",
            b"\n\n",
            b"\xff\xfe\0binary",
            b"# BEGIN oci-link\n1.2.3.4 forged\n# END oci-link\n",
            b"# BEGIN oci-link\n# BEGIN oci-link\n",
        ];
        for base in bases {
            assert_eq!(round_trip(base, |written| written), base, "{base:?}");
        }
    }

    #[test]
    fn what_others_add_stays() {
        let append = |mut written: Vec<u8>| {
            written.extend(b"10.9.9.9\tuser\n");
            written
        };
        assert_eq!(round_trip(b"a\n", append), b"a\n10.9.9.9\tuser\n");
        assert_eq!(round_trip(b"a", append), b"a\n10.9.9.9\tuser\n", "lines do not run together");
        let prepend = |written: Vec<u8>| [b"first\n".to_vec(), written].concat();
        assert_eq!(round_trip(b"a\n", prepend), b"first\na\n");
    }

    #[test]
    fn a_line_added_inside_our_block_stays() {
        let edit = |written| replaced(written, "# END oci-link", "10.9.9.9 user\n# END oci-link");
        assert_eq!(round_trip(b"a\n", edit), b"a\n10.9.9.9 user\n");
    }

    #[test]
    fn a_forged_block_is_not_ours() {
        let forged = "# BEGIN oci-link\n6.6.6.6 db\n# END oci-link\n";
        let edit = |written: Vec<u8>| {
            let edited = replaced(written, "10.0.0.3\tweb\n", "10.0.0.3\tweb\n5.5.5.5 user\n");
            [edited, forged.as_bytes().to_vec()].concat()
        };
        let left = round_trip(b"a\n", edit);
        assert_eq!(left, format!("a\n5.5.5.5 user\n{forged}").into_bytes());
    }

    #[test]
    fn lines_without_markers_go_once() {
        let edit = |written| {
            let bare = replaced(written, "# BEGIN oci-link\n", "");
            replaced(bare, "# END oci-link\n", "10.9.9.9 user\n")
        };
        assert_eq!(round_trip(b"a\n", edit), b"a\n10.9.9.9 user\n");
        let base = b"10.0.0.3\tweb\n";
        let edit =
            |written| replaced(replaced(written, "# BEGIN oci-link\n", ""), "# END oci-link\n", "");
        assert_eq!(round_trip(base, edit), base, "the user's own copy of a line stays");
    }

    #[test]
    fn a_file_that_was_rewritten_is_left_alone() {
        let edit = |_| b"10.8.8.8 other\n".to_vec();
        assert_eq!(round_trip(b"a\n", edit), b"10.8.8.8 other\n");
    }

    #[test]
    fn of_two_blocks_each_goes_with_its_own() {
        let first = block(b"", &lines());
        let second = block(first.as_bytes(), &["10.0.0.9\tother".to_owned()]);
        let both = format!("{first}{second}");
        assert_eq!(without(both.as_bytes(), &[&first], &[]), second.as_bytes());
        assert_eq!(without(both.as_bytes(), &[&second], &[]), first.as_bytes());
        let edited = both.replace("10.0.0.3\tweb\n", "10.0.0.3\tweb\n7.7.7.7 user\n");
        let left = format!("7.7.7.7 user\n{second}");
        assert_eq!(without(edited.as_bytes(), &[&first], &[]), left.as_bytes());
    }

    #[test]
    fn a_block_of_another_is_not_ours_whatever_it_says() {
        let ours = block(b"", &["10.0.0.2\tdb db".to_owned()]);
        let theirs = block(b"", &["10.0.0.2\tdb db".to_owned(), "10.0.0.4\tpod".to_owned()]);
        let shared = std::slice::from_ref(&theirs);
        assert_eq!(without(theirs.as_bytes(), &[&ours], shared), theirs.as_bytes());
        let bare = format!("10.0.0.2\tdb db\n{theirs}");
        assert_eq!(without(bare.as_bytes(), &[&ours], shared), theirs.as_bytes());
        let edited = format!("{theirs}{}", ours.replace("# END", "1.1.1.1 user\n# END"));
        let left = format!("{theirs}1.1.1.1 user\n");
        assert_eq!(without(edited.as_bytes(), &[&ours], shared), left.as_bytes());
    }

    #[test]
    fn a_neighbour_without_a_block_occupies_nothing() {
        let ours = block(b"", &lines());
        let bare = LINES.join("\n");
        for neighbour in ["", "\n"] {
            assert_eq!(without(bare.as_bytes(), &[&ours], &[neighbour.to_owned()]), b"");
        }
    }

    #[test]
    fn what_a_killed_writer_left_goes() {
        let (long, short) = (block(b"", &lines()), block(b"", &lines()[..1]));
        let torn = |left: &str, less: usize| [left.as_bytes(), &filler(less)].concat();
        let base = "a\n10.9.9.9\tuser\n";
        assert_eq!(without(&torn(base, long.len()), &[&long], &[]), base.as_bytes());
        let both = [short.as_str(), &long];
        let written = format!("{base}{short}");
        let found = torn(&written, long.len() - short.len());
        assert_eq!(without(&found, &both, &[]), base.as_bytes());
        assert_eq!(edited(&found, &both, &[], &short), written.as_bytes());
        let theirs = torn(base, 20);
        assert_eq!(without(&theirs, &both, &[]), theirs, "a line of the user's");
        assert_eq!(without(b"a\n#", &both, &[]), b"a\n#", "and so is an empty comment");
        let theirs = [long.as_bytes(), &torn(base, long.len())].concat();
        assert_eq!(without(&theirs, &[&long], &[]), torn(base, long.len()), "and so is this");
    }

    #[test]
    fn mentions_reads_addresses_as_resolvers_do() {
        let ip = |text: &str| text.parse().unwrap();
        let content = b"  10.0.0.2\tdb\nfd00:0::2 db\n#10.0.0.4 x\n10.0.0.20 y\n\xff";
        assert!(mentions(content, ip("10.0.0.2")) && mentions(content, ip("fd00::2")));
        assert!(!mentions(content, ip("10.0.0.4")) && !mentions(content, ip("10.0.0.0")));
    }

    #[test]
    fn dockers_file() {
        assert_eq!(preamble(false), "127.0.0.1\tlocalhost\n");
        assert!(preamble(true).ends_with("ff02::1\tip6-allnodes\nff02::2\tip6-allrouters\n"));
    }
}
