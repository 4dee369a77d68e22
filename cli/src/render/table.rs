//! Columns that line up.

use super::Style;

/// Where the text of a column stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Align {
    Left,
    Right,
}

/// Rows of text under headers.
#[derive(Debug)]
pub struct Table {
    headers: Vec<(String, Align)>,
    rows: Vec<Vec<String>>,
}

/// Between two columns.
const GAP: &str = "  ";

impl Table {
    pub fn new<H: Into<String>>(headers: impl IntoIterator<Item = (H, Align)>) -> Self {
        Self { headers: headers.into_iter().map(|(name, align)| (name.into(), align)).collect(), rows: Vec::new() }
    }

    pub fn row(&mut self, cells: Vec<String>) {
        debug_assert_eq!(cells.len(), self.headers.len(), "a cell for each header");
        self.rows.push(cells);
    }

    /// All lines, each ended; nothing stands behind the last cell of a line.
    pub fn render(&self, style: Style) -> String {
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
            cells.chain([self.headers[column].0.chars().count()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.headers.len()).map(width).collect();
        let line = |cells: &[String]| {
            let padded = cells.iter().zip(&self.headers).zip(&widths).map(|((cell, (_, align)), width)| {
                let space = " ".repeat(width.saturating_sub(cell.chars().count()));
                match align {
                    Align::Left => format!("{cell}{space}"),
                    Align::Right => format!("{space}{cell}"),
                }
            });
            padded.collect::<Vec<_>>().join(GAP).trim_end().to_owned()
        };
        let headers: Vec<String> = self.headers.iter().map(|(name, _)| name.clone()).collect();
        let mut text = format!("{}\n", style.bold(&line(&headers)));
        for row in &self.rows {
            text.push_str(&line(row));
            text.push('\n');
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_right_and_no_line_ends_in_spaces() {
        let mut table = Table::new([("name", Align::Left), ("rows", Align::Right), ("note", Align::Left)]);
        table.row(vec!["rating".into(), "12".into(), String::new()]);
        table.row(vec!["größer".into(), "100000".into(), "ok".into()]);
        assert_eq!(table.render(Style::plain()), "name      rows  note\nrating      12\ngrößer  100000  ok\n");
    }
}
