//! Lines of a text, by byte offset.

/// The offset at which the line of `at` begins.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The offset behind the line in which something ends at `end`. A block of lines ends where the next
/// line begins, which is after `from`.
pub(crate) fn line_end(text: &str, end: usize, from: usize) -> usize {
    if end > from && text[..end].ends_with('\n') {
        return end;
    }
    text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1)
}
