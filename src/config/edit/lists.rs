//! Changes of a list in which elements stay with the comments behind them.

use toml_edit::{Array, Value};

/// Returns `old` with the elements `wanted`. `None` if what stays is in another order: then the list is a new one.
pub(super) fn merged(old: &Array, wanted: &[&str]) -> Option<Array> {
    let mut texts: Vec<&str> = old.iter().map(Value::as_str).collect::<Option<_>>()?;
    if texts == wanted {
        return Some(old.clone());
    }
    let mut gaps = gaps(old);
    let mut at = 0;
    while at < texts.len() {
        if wanted.contains(&texts[at]) {
            at += 1;
        } else {
            texts.remove(at);
            leave_out(&mut gaps, at);
        }
    }
    if !wanted.starts_with(&texts) {
        return None;
    }
    for text in &wanted[texts.len()..] {
        make_room(&mut gaps, texts.len());
        texts.push(text);
    }
    let is_of_lines = gaps.iter().any(|gap| gap.contains('\n'));
    let trailing = gaps.pop().filter(|_| is_of_lines || !texts.is_empty()).unwrap_or_default();
    let mut array = Array::new();
    for (text, gap) in texts.iter().zip(&gaps) {
        array.push_formatted(Value::from(*text).decorated(gap.as_str(), ""));
    }
    array.set_trailing_comma(is_of_lines && !array.is_empty());
    array.set_trailing(trailing);
    Some(array)
}

/// What is before each element, and behind the last one. Commas are left out.
fn gaps(array: &Array) -> Vec<String> {
    let text = |raw: Option<&toml_edit::RawString>| {
        raw.and_then(|raw| raw.as_str()).unwrap_or_default().to_owned()
    };
    let mut gaps = Vec::new();
    let mut behind = String::new();
    for value in array {
        gaps.push(behind + &text(value.decor().prefix()));
        behind = text(value.decor().suffix());
    }
    gaps.push(behind + &text(Some(array.trailing())));
    gaps
}

/// Removes the element `at`, the comment behind it and those above it.
fn leave_out(gaps: &mut Vec<String>, at: usize) {
    let before = gaps.remove(at);
    let Some(behind) = gaps.get_mut(at) else { return };
    match (behind.find('\n'), before.find('\n')) {
        // The comment in the line of the element before stays.
        (Some(end), first) => *behind = before[..first.unwrap_or(0)].to_owned() + &behind[end..],
        (None, _) if at == 0 => *behind = before,
        (None, _) => {}
    }
}

/// Makes a gap for an element at the end, which is the element `at`.
fn make_room(gaps: &mut Vec<String>, at: usize) {
    let end = gaps.pop().unwrap_or_default();
    let indent =
        gaps.last().and_then(|gap| gap.rsplit_once('\n')).map_or("  ", |(_, indent)| indent);
    match end.split_once('\n') {
        Some((comment, rest)) => {
            gaps.push(format!("{comment}\n{indent}"));
            gaps.push(format!("\n{rest}"));
        }
        None if at == 0 => gaps.extend([end.clone(), end]),
        None => gaps.extend([" ".to_owned(), end]),
    }
}
