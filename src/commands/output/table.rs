//! Tables of text.

use super::color::{Paint, Tone};
use crate::commands::say;
use crate::error::Result;

/// A cell of a table.
#[derive(Debug)]
pub(crate) struct Cell {
    text: String,
    tone: Tone,
}

impl Cell {
    /// A cell with a color.
    pub(crate) fn new(tone: Tone, text: impl Into<String>) -> Self {
        Self { text: text.into(), tone }
    }

    /// The cell in another color.
    pub(crate) fn with(self, tone: Tone) -> Self {
        Self { tone, ..self }
    }
}

impl<T: Into<String>> From<T> for Cell {
    fn from(text: T) -> Self {
        Self::new(Tone::Plain, text)
    }
}

/// Prints the headings and rows. Each column is as wide as its widest cell.
pub(crate) fn print(paint: Paint, headings: &[&str], rows: &[Vec<Cell>]) -> Result<()> {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.text.len());
        cells.chain(headings.get(column).map(|heading| heading.len())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..headings.len()).map(width).collect();
    let headings = headings.iter().map(|heading| Cell::new(Tone::Heading, *heading)).collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(rows) {
        let mut blank = 0;
        for (cell, width) in row.iter().zip(&widths) {
            if !cell.text.is_empty() {
                text.extend(std::iter::repeat_n(' ', blank));
                text.push_str(&paint.tinted(cell.tone, &cell.text));
                blank = 0;
            }
            blank += width.saturating_sub(cell.text.len()) + 3;
        }
        text.push('\n');
    }
    say(&text)
}
