//! Rows under each other. Pure: cells go in, lines come out.

use std::fmt::Write;

/// Which side of its column a cell leans on: words left, numbers right.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    Left,
    Right,
}

/// A table whose columns are as wide as what has gone through them so far, so that a long list can be written in parts.
#[derive(Debug)]
pub(super) struct Table {
    sides: Vec<Side>,
    widths: Vec<usize>,
}

impl Table {
    /// A table with these columns.
    pub(super) fn new(sides: &[Side]) -> Self {
        Self { sides: sides.to_vec(), widths: vec![0; sides.len()] }
    }

    /// The rows as lines, two blanks between columns and none at the end.
    pub(super) fn lines(&mut self, rows: &[Vec<String>]) -> String {
        for (column, width) in self.widths.iter_mut().enumerate() {
            let cells = rows.iter().filter_map(|row| row.get(column));
            *width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0).max(*width);
        }
        let mut text = String::new();
        for row in rows {
            for (column, cell) in row.iter().enumerate() {
                let width = self.widths.get(column).copied().unwrap_or(0);
                // Writing to memory does not fail.
                let _ = match self.sides.get(column) {
                    Some(Side::Left) | None => write!(text, "{cell:<width$}  "),
                    Some(Side::Right) => write!(text, "{cell:>width$}  "),
                };
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_only_grow() {
        let mut table = Table::new(&[Side::Left, Side::Right]);
        let row = |left: &str, right: &str| vec![left.to_owned(), right.to_owned()];
        assert_eq!(table.lines(&[row("é", "10"), row("long", "1")]), "é     10\nlong   1\n");
        assert_eq!(table.lines(&[row("a", ""), row("a", "1")]), "a\na      1\n");
    }
}
