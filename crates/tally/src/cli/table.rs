//! Tables that people read: aligned, also where characters are two columns wide.

use unicode_width::UnicodeWidthStr as _;

use super::output::line;

/// Columns of a terminal that a folded table takes, unless a word is too long for that.
pub const WIDTH_MAX: usize = 120;

/// Between columns.
const GAP: &str = "  ";

/// A table.
#[derive(Debug)]
pub struct Table {
    headings: Vec<String>,
    /// Columns that are texts; the others are numbers, and right-aligned.
    texts: Vec<usize>,
    rows: Vec<Row>,
    /// How wide it may be; the tables of commands are as wide as they are, for those who search them.
    width_max: usize,
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
            width_max: usize::MAX,
        }
    }

    /// The table, folded to [`WIDTH_MAX`].
    pub fn folded(mut self) -> Self {
        self.width_max = WIDTH_MAX;
        self
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
        let widths = self.widths();
        let mut lines = self.aligned(&self.headings, &widths);
        for row in &self.rows {
            match row {
                Row::Section(title) => lines.push(title.clone()),
                Row::Cells(cells) => lines.extend(self.aligned(cells, &widths)),
            }
        }
        lines
    }

    /// As wide as what is in them. Where that is too much, columns give way, the widest first, none
    /// further than its longest word.
    fn widths(&self) -> Vec<usize> {
        let mut widths = vec![0; self.headings.len()];
        let mut least = widths.clone();
        let rows = self.rows.iter().filter_map(|row| match row {
            Row::Cells(cells) => Some(cells),
            Row::Section(_) => None,
        });
        for cells in std::iter::once(&self.headings).chain(rows) {
            for (column, cell) in cells.iter().enumerate().take(widths.len()) {
                let longest = cell.split(' ').map(|word| word.width()).max();
                let longest = longest.unwrap_or(0) + self.hanging(column).len();
                widths[column] = widths[column].max(cell.width());
                least[column] = least[column].max(longest.min(cell.width()));
            }
        }
        while widths.iter().map(|width| width + GAP.len()).sum::<usize>() > self.width_max {
            let columns = 0..widths.len();
            let gives_way = columns.filter(|column| widths[*column] > least[*column]);
            // Headings of numbers first: they are read once.
            let number = |column: &usize| !self.texts.contains(column);
            match gives_way.max_by_key(|column| (number(column), widths[*column])) {
                Some(column) => widths[column] -= 1,
                None => break,
            }
        }
        widths
    }

    /// Before what of a cell did not fit into its first line.
    fn hanging(&self, column: usize) -> &'static str {
        if self.texts.contains(&column) {
            GAP
        } else {
            ""
        }
    }

    /// Prints it.
    pub fn print(&self) {
        for text in self.lines() {
            line(&text);
        }
    }

    fn aligned(&self, cells: &[String], widths: &[usize]) -> Vec<String> {
        let cells = cells.iter().zip(widths).enumerate();
        let wrap = |(column, (cell, width)): (usize, (&String, &usize))| {
            wrapped(cell, *width, self.hanging(column))
        };
        let columns: Vec<Vec<String>> = cells.map(wrap).collect();
        let height = columns.iter().map(Vec::len).max().unwrap_or(0);
        let line = |at: usize| {
            let mut text = String::new();
            for (column, (parts, width)) in columns.iter().zip(widths).enumerate() {
                let part = parts.get(at).map_or("", String::as_str);
                let padding = " ".repeat(width.saturating_sub(part.width()));
                text.push_str(GAP);
                if self.texts.contains(&column) {
                    text.push_str(part);
                    text.push_str(&padding);
                } else {
                    text.push_str(&padding);
                    text.push_str(part);
                }
            }
            text.trim_end().to_owned()
        };
        (0..height).map(line).collect()
    }
}

/// A text in lines of `width`, broken at blanks; what has none stays whole. `hanging` begins every
/// line but the first.
pub fn wrapped(text: &str, width: usize, hanging: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for (at, word) in text.split(' ').enumerate() {
        if at > 0 && line.width() + 1 + word.width() > width {
            lines.push(std::mem::replace(&mut line, hanging.to_owned()));
        } else if at > 0 {
            line.push(' ');
        }
        line.push_str(word);
    }
    lines.push(line);
    lines
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

    #[test]
    fn a_wide_table_is_folded_and_keeps_every_word() {
        let long = "push: Tally Province Department of Housing and Urban-Rural Development: answers out of order";
        let mut table = Table::new(
            ["check", "found by the clients", "handed in again"],
            &[0, 1],
        )
        .folded();
        table.row(vec![long.into(), long.into(), "1234567".into()]);
        let lines = table.lines();
        assert!(
            lines.iter().all(|line| line.width() <= WIDTH_MAX),
            "{lines:#?}"
        );
        assert!(lines.len() > 2, "{lines:#?}");
        let said: Vec<String> = lines
            .iter()
            .flat_map(|line| line.split_whitespace())
            .map(str::to_owned)
            .collect();
        for word in long.split(' ') {
            assert_eq!(
                said.iter().filter(|said| *said == word).count(),
                2 * long.split(' ').filter(|it| *it == word).count()
            );
        }
        // A number is not folded, and a word that is too long stays whole.
        assert!(said.contains(&"1234567".to_owned()));
        let word = "字".repeat(WIDTH_MAX);
        let mut table = Table::new(["a"], &[0]).folded();
        table.row(vec![word.clone()]);
        assert_eq!(table.lines()[1].trim(), word);
    }
}
