//! Finds lines of a text by byte offset.

/// The offset at which the line that contains `at` begins.
pub(crate) fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

/// The offset after the line in which a node from `from` to `end` ends. A block scalar already ends
/// at the start of the next line.
pub(crate) fn line_end(text: &str, end: usize, from: usize) -> usize {
    if end > from && text[..end].ends_with('\n') {
        return end;
    }
    text[end..].find('\n').map_or(text.len(), |newline| end + newline + 1)
}
