//! Tables of text.

use super::color::{Paint, Tone};
use crate::commands::say;
use crate::error::Result;

/// The widest column, in characters. The rest of a row follows a longer cell without alignment.
const WIDEST: usize = 60;
/// Columns of a table that must fit a terminal are not made narrower than this.
const NARROWEST: usize = 8;
/// The spaces between two columns.
const GAP: usize = 3;

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

/// Prints the headings and rows. Each column is as wide as its widest cell, up to [`WIDEST`]. With `width`, the number
/// of characters in a line of the terminal, the widest columns are narrower, and longer cells are cut.
pub(crate) fn print(
    paint: Paint,
    width: Option<usize>,
    headings: &[&str],
    rows: &[Vec<Cell>],
) -> Result<()> {
    say(&table(paint, width, headings, rows))
}

fn table(paint: Paint, width: Option<usize>, headings: &[&str], rows: &[Vec<Cell>]) -> String {
    let widest = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(Cell::width);
        let all = cells.chain(headings.get(column).map(|heading| heading.len()));
        all.max().unwrap_or(0)
    };
    let mut widths: Vec<usize> = (0..headings.len()).map(widest).collect();
    match width {
        Some(width) => fit(&mut widths, width, headings),
        None => widths.iter_mut().for_each(|width| *width = WIDEST.min(*width)),
    }
    let headings = headings.iter().map(|heading| Cell::new(Tone::Heading, *heading)).collect();
    let mut text = String::new();
    for row in std::iter::once(&headings).chain(rows) {
        let mut blank = 0;
        for (cell, column) in row.iter().zip(&widths) {
            let shown = if width.is_some() { cut(&cell.text, *column) } else { cell.text.clone() };
            if !shown.is_empty() {
                text.extend(std::iter::repeat_n(' ', blank));
                text.push_str(&paint.tinted(cell.tone, &shown));
                blank = 0;
            }
            blank += column.saturating_sub(shown.chars().count()) + GAP;
        }
        text.push('\n');
    }
    text
}

/// Makes the widest columns narrower until a row has `width` characters. No column becomes narrower than its heading
/// or [`NARROWEST`].
fn fit(widths: &mut [usize], width: usize, headings: &[&str]) {
    let gaps = GAP * widths.len().saturating_sub(1);
    let least = |at: usize| headings.get(at).map_or(0, |heading| heading.len()).max(NARROWEST);
    while widths.iter().sum::<usize>() + gaps > width {
        let narrowable = (0..widths.len()).filter(|at| widths[*at] > least(*at));
        let Some(at) = narrowable.max_by_key(|at| widths[*at]) else { return };
        widths[at] -= 1;
    }
}

/// `text` in at most `width` characters, with an ellipsis in place of what was cut.
fn cut(text: &str, width: usize) -> String {
    if text.chars().count() <= width {
        return text.to_owned();
    }
    text.chars().take(width.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_cell_makes_no_other_row_long() {
        let long = "x".repeat(5000);
        let row = |first: &str| vec![Cell::from(first), Cell::from("end")];
        let text = table(Paint::default(), None, &["NAME", "STATE"], &[row("ü"), row(&long)]);
        let lines: Vec<&str> = text.lines().collect();
        let padded =
            |text: &str| format!("{text}{}", " ".repeat(WIDEST + 3 - text.chars().count()));
        assert_eq!(lines[0], format!("{}STATE", padded("NAME")));
        assert_eq!(lines[1], format!("{}end", padded("ü")));
        assert_eq!(lines[2], format!("{long}   end"));
    }

    #[test]
    fn a_table_fits_the_terminal() {
        let row = |text: &str| vec![Cell::from("web"), text.repeat(30).into(), Cell::from("ready")];
        let rows = [row("mysql, "), row("ü")];
        let text = |width| table(Paint::default(), Some(width), &["NAME", "LINKS", "STATE"], &rows);
        for width in [40, 80, 100] {
            for line in text(width).lines() {
                assert!(line.chars().count() <= width, "{width}: {line}");
            }
        }
        assert!(text(40).lines().nth(1).is_some_and(|line| line.contains('…')));
        assert!(!text(400).contains('…'));
        // A terminal that is too narrow for the headings gets long lines.
        assert!(text(1).starts_with("NAME   LINKS "), "{}", text(1));
    }
}
