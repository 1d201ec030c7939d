//! Transactions from an existing chain to the wanted one.

use super::*;

fn lines(text: &str) -> Vec<String> {
    text.lines().map(str::to_owned).collect()
}

fn bridges(names: &[&str]) -> Vec<BridgeName> {
    names.iter().map(|name| BridgeName::new(name).unwrap()).collect()
}

const STANDS: &str = "-P FORWARD ACCEPT\n-N OCI-LINK\n-N OCI-LINK-ISOLATE\n-N OCI-LINK-USER\n\
    -A FORWARD -j OCI-LINK\n-A FORWARD -s 1.2.3.4/32 -j DROP\n\
    -A OCI-LINK -j OCI-LINK-USER\n-A OCI-LINK -j LINK\n\
    -A OCI-LINK -j OCI-LINK-ISOLATE\n-A OCI-LINK-ISOLATE -i a -o a -j DROP\n";

#[test]
fn what_stands_is_left_alone() {
    let rules = lines("-A OCI-LINK -j LINK");
    assert_eq!(missing(&lines(STANDS), &[], &rules, &[], &Walls::of(&bridges(&["a"]))), "");
}

#[test]
fn what_permits_comes_before_what_drops() {
    let rules = lines("-A OCI-LINK one\n-A OCI-LINK two");
    let made = missing(&[], &[], &rules, &[], &Walls::of(&bridges(&["a", "b"])));
    let expected = "-N OCI-LINK\n-N OCI-LINK-USER\n-I OCI-LINK 1 -j OCI-LINK-USER\n\
        -I OCI-LINK 2 two\n-I OCI-LINK 2 one\n-I FORWARD 1 -j OCI-LINK\n\
        -N OCI-LINK-ISOLATE\n-A OCI-LINK-ISOLATE -i a -o a -j DROP\n\
        -A OCI-LINK-ISOLATE -i a -o b -j DROP\n-A OCI-LINK-ISOLATE -i b -o a -j DROP\n\
        -A OCI-LINK-ISOLATE -i b -o b -j DROP\n-A OCI-LINK -j OCI-LINK-ISOLATE\n";
    assert_eq!(made, expected);
    let late = STANDS.replace("-A OCI-LINK -j LINK\n", "") + "-A OCI-LINK -j LINK\n";
    let repaired = missing(&lines(&late), &[], &[], &[], &Walls::of(&bridges(&["a"])));
    assert!(repaired.starts_with("-D OCI-LINK -j OCI-LINK-ISOLATE\n"), "{repaired}");
    assert!(repaired.ends_with("-A OCI-LINK -j OCI-LINK-ISOLATE\n"), "{repaired}");
}

#[test]
fn isolation_ends_without_a_trace() {
    let made = missing(&lines(STANDS), &[], &[], &[], &Walls::default());
    let expected = "-D OCI-LINK -j OCI-LINK-ISOLATE\n-F OCI-LINK-ISOLATE\n\
        -X OCI-LINK-ISOLATE\n";
    assert_eq!(made, expected);
    let emptied = STANDS.replace("-A OCI-LINK-ISOLATE -i a -o a -j DROP\n", "");
    assert_eq!(
        missing(&lines(&emptied), &[], &[], &[], &Walls::default()),
        expected,
        "nor when it was flushed"
    );
}

/// The kernel deletes no chain to which a rule leads.
#[test]
fn the_isolation_ends_where_another_rule_leads_to_its_chain() {
    let held = format!("{STANDS}-A FORWARD -i x -j OCI-LINK-ISOLATE\n");
    let made = missing(&lines(&held), &[], &[], &[], &Walls::default());
    assert_eq!(made, "-D OCI-LINK -j OCI-LINK-ISOLATE\n-F OCI-LINK-ISOLATE\n");
    let over = held.replace("-A OCI-LINK -j OCI-LINK-ISOLATE\n", "");
    let over = over.replace("-A OCI-LINK-ISOLATE -i a -o a -j DROP\n", "");
    assert_eq!(missing(&lines(&over), &[], &[], &[], &Walls::default()), "");
}

#[test]
fn rules_of_earlier_versions_go_when_those_of_today_come() {
    let (now, old) = (lines("-A OCI-LINK now"), lines("-A OCI-LINK LINK"));
    let there = STANDS.replace("-j LINK", "LINK");
    let repaired = missing(&lines(&there), &[], &now, &old, &Walls::of(&bridges(&["a"])));
    assert_eq!(repaired, "-I OCI-LINK 2 now\n-D OCI-LINK LINK\n");
}

#[test]
fn all_that_is_ours_is_dismantled_and_nothing_else() {
    let there = format!("{STANDS}-N OCI-LINK-0a\n-N OCI-LINKED\n-N LINK\n-A LINK -j OCI-LINK\n");
    let expected = "-D FORWARD -j OCI-LINK\n-F OCI-LINK\n-F OCI-LINK-ISOLATE\n-F OCI-LINK-USER\n\
        -F OCI-LINK-0a\n-X OCI-LINK\n-X OCI-LINK-ISOLATE\n-X OCI-LINK-USER\n-X OCI-LINK-0a\n";
    assert_eq!(removal(&lines(&there)), expected);
    // The administrator's rules stay, in their chain.
    let used = format!("{there}-A OCI-LINK-USER -s 10.0.0.9/32 -j DROP\n");
    let expected = expected.replace("-F OCI-LINK-USER\n", "").replace("-X OCI-LINK-USER\n", "");
    assert_eq!(removal(&lines(&used)), expected);
    assert_eq!(removal(&lines("-P FORWARD ACCEPT\n-A FORWARD -j LINK\n")), "");
}

#[test]
fn a_name_with_a_line_break_gives_no_command() {
    let named = ["-N OCI-LINK-\"\n-F FORWARD\"".to_owned()];
    assert_eq!(removal(&named), "");
}

#[test]
fn isolated_bridges_are_read_from_the_rules() {
    let isolated = |there: &str, names: &[&str]| isolates(&lines(there), &bridges(names));
    assert!(isolated(STANDS, &["a"]));
    assert!(!isolated(STANDS, &["a", "b"]) && !isolated(STANDS, &["b"]) && !isolated("", &[]));
    assert!(!isolated(&format!("{STANDS}-A OCI-LINK -j LINK\n"), &["a"]), "not the last word");
    assert!(!isolated(&STANDS.replace("-A OCI-LINK -j OCI-LINK-ISOLATE\n", ""), &["a"]));
}

#[test]
fn flushed_jumps_come_back_first_and_once() {
    let moved = lines(
        "-N OCI-LINK\n-N OCI-LINK-USER\n-A FORWARD -j X\n-A FORWARD -j OCI-LINK\n\
         -A OCI-LINK -j OCI-LINK-USER\n",
    );
    let expected = "-D FORWARD -j OCI-LINK\n-I FORWARD 1 -j OCI-LINK\n";
    assert_eq!(missing(&moved, &[], &[], &[], &Walls::default()), expected);
    let twice = [moved, lines("-A FORWARD -j OCI-LINK\n")].concat();
    let expected = format!("-D FORWARD -j OCI-LINK\n{expected}");
    assert_eq!(missing(&twice, &[], &[], &[], &Walls::default()), expected);
    let twice = format!("{STANDS}-A OCI-LINK -j OCI-LINK-ISOLATE\n");
    let expected = "-D OCI-LINK -j OCI-LINK-ISOLATE\n-D OCI-LINK -j OCI-LINK-ISOLATE\n\
        -F OCI-LINK-ISOLATE\n-A OCI-LINK-ISOLATE -i a -o a -j DROP\n\
        -A OCI-LINK -j OCI-LINK-ISOLATE\n";
    assert_eq!(missing(&lines(&twice), &[], &[], &[], &Walls::of(&bridges(&["a"]))), expected);
}

#[test]
fn the_administrators_chains_come_first() {
    let of = |forward: &str, base: &str| {
        let forward = forward.split_whitespace().map(|to| format!("-A FORWARD -j {to}\n"));
        let base = base.split_whitespace().map(|to| format!("-A OCI-LINK -j {to}\n"));
        let chains = ["-N OCI-LINK\n".to_owned(), "-N OCI-LINK-USER\n".to_owned()];
        let there: String = chains.into_iter().chain(forward).chain(base).collect();
        missing(&lines(&there), &[], &[], &[], &Walls::default())
    };
    let user = "OCI-LINK-USER LINK";
    for forward in ["OCI-LINK", "DOCKER-USER OCI-LINK X", "X DOCKER-USER OCI-LINK"] {
        assert_eq!(of(forward, user), "", "{forward}");
    }
    let first = "-D FORWARD -j OCI-LINK\n-I FORWARD 1 -j OCI-LINK\n";
    let behind = "-D FORWARD -j OCI-LINK\n-I FORWARD 2 -j OCI-LINK\n";
    assert_eq!(of("X OCI-LINK", user), first);
    assert_eq!(of("OCI-LINK DOCKER-USER", user), behind);
    assert_eq!(of("DOCKER-USER X OCI-LINK", user), behind);
    assert_eq!(of("DOCKER-USER X", user), "-I FORWARD 2 -j OCI-LINK\n");
    let jump = "-D OCI-LINK -j OCI-LINK-USER\n-I OCI-LINK 1 -j OCI-LINK-USER\n";
    assert_eq!(of("OCI-LINK", "LINK OCI-LINK-USER"), jump);
    assert_eq!(of("OCI-LINK", "LINK"), "-I OCI-LINK 1 -j OCI-LINK-USER\n");
}

#[test]
fn the_jump_to_tied_recipients_compares_the_mark() {
    use crate::firewall::bridge::MATCH_BOUND;
    assert_eq!(JUMP_TO_TIED, format!("-A {BASE} {MATCH_BOUND} -j {TIED}"));
}
