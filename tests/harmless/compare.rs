//! What differs between two lives that should be equal.

use crate::step::Step;

/// One difference follows from another, so that a report has the first ones only.
const REPORTED: usize = 2;
/// The length of a value in a report.
const SHOWN: usize = 240;

/// One line for each step of `with` that is not as in `without`. A life that ends early has fewer steps, so
/// that steps are compared by name.
pub(crate) fn differences(without: &[Step], with: &[Step]) -> Vec<String> {
    let usual = |with: &Step| without.iter().find(|step| step.what == with.what);
    let compared = with.iter().filter_map(|with| match usual(with) {
        Some(without) => difference(without, with),
        None => Some(format!("{}: only with oci-link", with.what)),
    });
    let mut differences: Vec<String> = compared.collect();
    if without.len() != with.len() && differences.is_empty() {
        differences.push(format!("{} steps instead of {}", with.len(), without.len()));
    }
    let more = differences.len().saturating_sub(REPORTED);
    differences.truncate(REPORTED);
    if more > 0 {
        differences.push(format!("and {more} more differences"));
    }
    differences
}

fn difference(without: &Step, with: &Step) -> Option<String> {
    let parts = [
        ("status", &without.status, &with.status),
        ("standard output", &without.stdout, &with.stdout),
        ("the runtime's messages", &without.stderr, &with.stderr),
    ];
    let (part, expected, found) = parts.into_iter().find(|(_, without, with)| without != with)?;
    let ours =
        if with.ours.is_empty() { String::new() } else { format!(" ({})", short(&with.ours)) };
    let (expected, found) = (short(expected), short(found));
    Some(format!("{}: {part} {found:?} instead of {expected:?}{ours}", with.what))
}

fn short(text: &str) -> String {
    let mut short: String = text.chars().take(SHOWN).collect();
    if short.len() < text.len() {
        short.push('…');
    }
    short
}

#[test]
fn each_part_of_a_step_is_compared() {
    let step = |parts: [&str; 4]| [Step::new(parts[0], parts[1], parts[2], parts[3])];
    let usual = ["start", "0", "started", "a warning"];
    assert_eq!(differences(&step(usual), &step(usual)), [""; 0]);
    for at in 0..usual.len() {
        let mut other = usual;
        other[at] = "x";
        assert_eq!(differences(&step(usual), &step(other)).len(), 1, "{other:?}");
    }
    let warned = ["start", "0", "started", "oci-link: one line\na warning"];
    assert_eq!(differences(&step(usual), &step(warned)), [""; 0]);
    assert_eq!(differences(&step(usual), &[]), ["0 steps instead of 1"]);
}
