//! Finds the key that was probably meant by a misspelt one.

/// The number of letters that may be wrong.
const MISTAKES: usize = 2;
/// Length limit of a word that is compared, in bytes.
const LONGEST: usize = 32;

/// Returns the word of `known` that is most like `word`, if one is like it. Case does not count.
pub(crate) fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let word = word.to_ascii_lowercase();
    let distances = known.iter().map(|known| (distance(&word, known), *known));
    let (mistakes, near) = distances.min_by_key(|(mistakes, _)| *mistakes)?;
    (mistakes <= MISTAKES && mistakes < near.len().min(word.len())).then_some(near)
}

/// Returns how many letters must be added, removed or replaced (Levenshtein).
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (line, x) in a.chars().enumerate() {
        let mut before = line;
        let mut left = line + 1;
        for (at, y) in b.iter().enumerate() {
            let above = row.get(at + 1).copied().unwrap_or_default();
            let cost = (before + usize::from(x != *y)).min(above + 1).min(left + 1);
            if let Some(cell) = row.get_mut(at) {
                *cell = left;
            }
            before = above;
            left = cost;
        }
        if let Some(cell) = row.last_mut() {
            *cell = left;
        }
    }
    row.last().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_meant() {
        let known = ["links", "name", "ports", "env", "missing"];
        for (word, meant) in [
            ("link", Some("links")),
            ("Links", Some("links")),
            ("LINKS", Some("links")),
            ("lnks", Some("links")),
            ("likns", Some("links")),
            ("linkss", Some("links")),
            ("port", Some("ports")),
            ("names", Some("name")),
            ("ENV", Some("env")),
            ("envs", Some("env")),
            ("mising", Some("missing")),
            ("", None),
            ("x", None),
            ("networks", None),
            ("linkslinkslinks", None),
        ] {
            assert_eq!(nearest(word, &known), meant, "{word}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), &known), None);
    }

    #[test]
    fn distances() {
        for (a, b, expected) in
            [("", "", 0), ("", "abc", 3), ("abc", "", 3), ("kitten", "sitting", 3), ("ab", "ba", 2)]
        {
            assert_eq!(distance(a, b), expected, "{a} {b}");
        }
    }
}
