//! Tables of text.

use super::color::{Paint, Tone};
use crate::commands::say;
use crate::error::Result;

/// The widest column, in characters. The rest of a row follows a longer cell without alignment.
const WIDEST: usize = 60;

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

    /// The number of characters.
    fn width(&self) -> usize {
        self.text.chars().count()
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

/// Prints the headings and rows. Each column is as wide as its widest cell, up to [`WIDEST`].
pub(crate) fn print(paint: Paint, headings: &[&str], rows: &[Vec<Cell>]) -> Result<()> {
    say(&table(paint, headings, rows))
}

fn table(paint: Paint, headings: &[&str], rows: &[Vec<Cell>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(Cell::width);
        let all = cells.chain(headings.get(column).map(|heading| heading.len()));
        all.max().unwrap_or(0).min(WIDEST)
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
            blank += width.saturating_sub(cell.width()) + 3;
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cell_makes_no_other_row_long() {
        let long = "x".repeat(5000);
        let row = |first: &str| vec![Cell::from(first), Cell::from("end")];
        let text = table(Paint::default(), &["NAME", "STATE"], &[row("ü"), row(&long)]);
        let lines: Vec<&str> = text.lines().collect();
        let padded =
            |text: &str| format!("{text}{}", " ".repeat(WIDEST + 3 - text.chars().count()));
        assert_eq!(lines[0], format!("{}STATE", padded("NAME")));
        assert_eq!(lines[1], format!("{}end", padded("ü")));
        assert_eq!(lines[2], format!("{long}   end"));
    }
}
