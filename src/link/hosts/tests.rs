//! Adding, finding and removing blocks in hosts files, also in edited, rewritten and torn ones.

use super::*;
use std::cell::Cell;

thread_local! {
    /// How many lines this thread has compared.
    pub(super) static COMPARED: Cell<usize> = const { Cell::new(0) };
}

const LINES: [&str; 2] = ["10.0.0.2\tdb 0a0a", "10.0.0.3\tweb"];

fn lines() -> Vec<String> {
    LINES.map(String::from).to_vec()
}

/// Appends a block to `base`, applies `edit` and removes the block again.
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
fn the_last_of_equal_blocks_is_removed() {
    let base = format!("{}10.9.9.9\tuser\n", block(b"", &lines()));
    assert_eq!(round_trip(base.as_bytes(), |written| written), base.as_bytes());
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

/// Hostile files: lines of ours again and again, markers without end, blocks of others.
#[test]
fn the_work_grows_with_the_lines_and_not_with_their_square() {
    let own: Vec<String> = (0..512).map(|n| format!("10.0.0.2\talias{n}")).collect();
    let ours = block(b"", &own);
    let torn = ours.replace("# END oci-link\n", "");
    let pods = |n: usize| block(b"", &[format!("10.0.1.1\tpod{n}")]);
    let shared: Vec<String> = (0..300).map(pods).collect();
    let hostile: [(&str, String); 6] = [
        ("newlines", "\n".repeat(20_000)),
        ("our last line", format!("{}\n", own[511]).repeat(20_000)),
        ("begins", format!("{BEGIN}\n").repeat(20_000)),
        ("pairs", format!("{BEGIN}\n{END}\n").repeat(10_000)),
        ("ends", format!("{BEGIN}\n{}", format!("x\n{END}\n").repeat(10_000))),
        ("blocks of others", shared.concat().repeat(20)),
    ];
    for (what, lines) in &hostile {
        for content in [lines.clone(), format!("{torn}{lines}"), format!("{lines}{ours}x\n")] {
            let most = 10 * (content.lines().count() + own.len() + 3 * shared.len());
            COMPARED.set(0);
            let left = without(content.as_bytes(), &[&ours], &shared);
            assert!(COMPARED.get() <= most, "{what}: {} comparisons", COMPARED.get());
            assert!(left.len() <= content.len());
        }
    }
}

#[test]
fn of_equal_lines_the_last_go_and_no_more_than_are_ours() {
    let ours = block(b"", &["10.0.0.2\tdb".to_owned(), "10.0.0.2\tdb".to_owned()]);
    let found = "10.0.0.2\tdb\nx\n10.0.0.2\tdb\n10.0.0.2\tdb";
    assert_eq!(without(found.as_bytes(), &[&ours], &[]), b"10.0.0.2\tdb\nx\n");
}

/// Two neighbours with equal blocks have one each; a third one of these lines is not theirs.
#[test]
fn equal_blocks_of_neighbours_are_as_many_as_neighbours() {
    let line = ["10.0.0.2\tdb".to_owned()];
    let (theirs, ours) =
        (block(b"", &line), block(b"", &[line[0].clone(), "10.0.0.3\tx".to_owned()]));
    let content = theirs.repeat(3);
    let left = without(content.as_bytes(), &[&ours], &[theirs.clone(), theirs.clone()]);
    assert_eq!(left, theirs.repeat(2).into_bytes());
}

#[test]
fn lines_of_docker_make_room_and_lines_of_users_stay() {
    let aliases = ["mysql", "db"].map(|alias| Alias::new(alias).unwrap());
    let file = b"127.0.0.1\tlocalhost\n172.17.0.2\tmysql 0a0b db\n172.17.0.2\tdb 0a0b\n\
        10.1.1.1\tmysql\n10.1.1.2 mysql # of a user\nmysql mysql x\n#1.1.1.1 db x y\n\
        172.17.0.3\tother 0c db\nfd00::2 mysql 0a0b db\n172.17.0.9\tMySQL x y";
    let left = without_engine_lines(file, &aliases);
    let expected = b"127.0.0.1\tlocalhost\n\
        10.1.1.1\tmysql\n10.1.1.2 mysql # of a user\nmysql mysql x\n#1.1.1.1 db x y\n\
        172.17.0.3\tother 0c db\n172.17.0.9\tMySQL x y";
    assert_eq!(String::from_utf8_lossy(&left), String::from_utf8_lossy(expected));
    assert_eq!(without_engine_lines(file, &[]), file);
    assert_eq!(without_engine_lines(b"\xff\n\n", &aliases), b"\xff\n\n");
}
