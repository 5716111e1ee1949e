//! Tables that people read: aligned, also where characters are two columns wide.

use unicode_width::UnicodeWidthStr as _;

use super::output::line;

/// Between columns.
const GAP: &str = "  ";

/// A table.
#[derive(Debug)]
pub struct Table {
    headings: Vec<String>,
    /// Columns that are texts; the others are numbers, and right-aligned.
    texts: Vec<usize>,
    rows: Vec<Row>,
}

#[derive(Debug)]
enum Row {
    /// A line of its own, over the rows that follow.
    Section(String),
    Cells(Vec<String>),
}

impl Table {
    /// A table with these headings; `texts` are the columns that are not numbers.
    pub fn new<'a>(headings: impl IntoIterator<Item = &'a str>, texts: &[usize]) -> Self {
        Self {
            headings: headings.into_iter().map(str::to_owned).collect(),
            texts: texts.to_vec(),
            rows: Vec::new(),
        }
    }

    /// Starts a section.
    pub fn section(&mut self, title: String) {
        self.rows.push(Row::Section(title));
    }

    /// Adds a row, a cell for each heading.
    pub fn row(&mut self, cells: Vec<String>) {
        self.rows.push(Row::Cells(cells));
    }

    /// Its lines.
    pub fn lines(&self) -> Vec<String> {
        let mut widths: Vec<usize> = self.headings.iter().map(|text| text.width()).collect();
        for row in &self.rows {
            if let Row::Cells(cells) = row {
                for (width, cell) in widths.iter_mut().zip(cells) {
                    *width = (*width).max(cell.width());
                }
            }
        }
        let mut lines = vec![self.aligned(&self.headings, &widths)];
        for row in &self.rows {
            match row {
                Row::Section(title) => lines.push(title.clone()),
                Row::Cells(cells) => lines.push(self.aligned(cells, &widths)),
            }
        }
        lines
    }

    /// Prints it.
    pub fn print(&self) {
        for text in self.lines() {
            line(&text);
        }
    }

    fn aligned(&self, cells: &[String], widths: &[usize]) -> String {
        let mut text = String::new();
        for (column, (cell, width)) in cells.iter().zip(widths).enumerate() {
            let padding = " ".repeat(width.saturating_sub(cell.width()));
            text.push_str(GAP);
            if self.texts.contains(&column) {
                text.push_str(cell);
                text.push_str(&padding);
            } else {
                text.push_str(&padding);
                text.push_str(cell);
            }
        }
        text.trim_end().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_by_what_characters_take() {
        let mut table = Table::new(["月份", "n", "remarks"], &[0, 2]);
        table.section("市场监管局".to_owned());
        table.row(vec!["2026-03".into(), "12345".into(), "x".into()]);
        table.row(vec!["合计".into(), "7".into(), String::new()]);
        let expected = [
            "  月份         n  remarks",
            "市场监管局",
            "  2026-03  12345  x",
            "  合计         7",
        ];
        assert_eq!(table.lines(), expected);
    }
}
