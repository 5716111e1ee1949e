//! Which column of a table is which of its form: found by their titles,
//! wherever the row of titles stands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tally_domain::policy::{Form, FormColumn, RecordType, Target};
use tally_domain::text::{half_width, printable};

use crate::table::Row;

/// Rows above the titles: names of the table, units, notes.
pub const ROWS_ABOVE_MAX: usize = 20;

/// Title of the column in which a report says which row of the file it was; it is no column of the
/// table, nor are the two that follow.
pub const ROW_TITLE: &str = "tally:row";

/// Title of the column in which a report says what is wrong.
pub const FAULTS_TITLE: &str = "tally:faults";

/// Title of the column in which a report names the row's place in quarantine.
pub const QUARANTINE_TITLE: &str = "tally:quarantine";

/// The columns of one table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns {
    /// Number of the row of titles.
    pub row: u64,
    /// The titles as they stand there.
    pub titles: Vec<String>,
    /// Titles that the form does not know, as they may be shown; their cells are left out.
    pub unknown: Vec<String>,
    /// The place among the form's columns of each column of the table.
    known: Vec<Option<usize>>,
    form: Arc<Form>,
    quarantine: Option<usize>,
    reported: Option<usize>,
}

/// The table is none of this form.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ColumnsFault {
    /// No row has titles of the form.
    #[error(
        "none of the first {looked_at} rows has the titles of this form, which begin `{first}`, `{second}`; use the template, or a mapping file"
    )]
    NoTitles {
        /// Rows that were looked at.
        looked_at: usize,
        /// First title of the form.
        first: String,
        /// Second title.
        second: String,
    },
    /// A row of titles lacks some.
    #[error("the titles in row {row} lack {}; add the columns, or use a mapping file", quoted(.missing))]
    Missing {
        /// The row of titles.
        row: u64,
        /// What it lacks, by the form's titles.
        missing: Vec<String>,
    },
    /// Two columns are the same.
    #[error("in row {row}, {} are the same column of the form; leave one out", quoted(.titles))]
    Twice {
        /// The row of titles.
        row: u64,
        /// Titles that mean the same.
        titles: Vec<String>,
    },
}

fn quoted(titles: &[String]) -> String {
    let quoted: Vec<_> = titles
        .iter()
        .map(|title| format!("`{}`", printable(title)))
        .collect();
    quoted.join(", ")
}

impl Columns {
    /// Finds the row of titles among the first rows of a table: the one that
    /// has most of the form's.
    ///
    /// # Errors
    ///
    /// [`ColumnsFault`], all of what is missing at once.
    pub fn find(
        form: &Arc<Form>,
        record_type: &RecordType,
        rows: &[Row],
    ) -> Result<Self, ColumnsFault> {
        let titles = form.columns.iter().enumerate().flat_map(|(at, column)| {
            let titles = column.titles();
            titles.map(move |title| (key(title), at))
        });
        let by_title: BTreeMap<String, usize> = titles.collect();
        let matches = |row: &Row| {
            let cells = row.cells.iter();
            cells
                .filter(|cell| by_title.contains_key(&key(cell)))
                .count()
        };
        let looked_at = &rows[..rows.len().min(ROWS_ABOVE_MAX + 1)];
        let best = looked_at.iter().rev().max_by_key(|row| matches(row));
        // A row of data may happen to hold a word that is a title.
        let Some(best) = best.filter(|row| matches(row) >= 2) else {
            let title = |at: usize| {
                let column = form.columns.get(at);
                column.map_or(String::new(), |column| column.title.clone())
            };
            return Err(ColumnsFault::NoTitles {
                looked_at: looked_at.len(),
                first: title(0),
                second: title(1),
            });
        };
        Self::from_titles(form, record_type, best, &by_title)
    }

    fn from_titles(
        form: &Arc<Form>,
        record_type: &RecordType,
        row: &Row,
        by_title: &BTreeMap<String, usize>,
    ) -> Result<Self, ColumnsFault> {
        let mut known = Vec::with_capacity(row.cells.len());
        let mut unknown = Vec::new();
        let (mut quarantine, mut reported) = (None, None);
        let mut places: BTreeMap<&Target, Vec<String>> = BTreeMap::new();
        for (at, cell) in row.cells.iter().enumerate() {
            let place = by_title.get(&key(cell)).copied();
            match place.map(|place| &form.columns[place].to) {
                Some(Target::Ignored) => {}
                Some(target) => places.entry(target).or_default().push(cell.clone()),
                None if cell == QUARANTINE_TITLE => quarantine = Some(at),
                None if cell == ROW_TITLE => reported = Some(at),
                None if cell.is_empty() || cell == FAULTS_TITLE => {}
                None => unknown.push(printable(cell)),
            }
            known.push(place);
        }
        if let Some(titles) = places.values().find(|titles| titles.len() > 1) {
            return Err(ColumnsFault::Twice {
                row: row.number,
                titles: titles.clone(),
            });
        }
        let needed = |column: &&FormColumn| match &column.to {
            Target::DocumentNumber | Target::DecidedOn => true,
            Target::Field(name) => record_type.field(name).is_some_and(|rule| rule.required),
            _ => false,
        };
        let mut missing: Vec<String> = form
            .columns
            .iter()
            .filter(needed)
            .filter(|column| !places.contains_key(&column.to))
            .filter(|column| !form.constants.contains_key(&column.to))
            .map(|column| column.title.clone())
            .collect();
        let is_subject = |target: &Target| matches!(target, Target::Subject(_));
        if !places.keys().any(|target| is_subject(target))
            && let Some(column) = form.columns.iter().find(|column| is_subject(&column.to))
        {
            missing.push(column.title.clone());
        }
        if !missing.is_empty() {
            return Err(ColumnsFault::Missing {
                row: row.number,
                missing,
            });
        }
        Ok(Self {
            row: row.number,
            titles: row.cells.clone(),
            unknown,
            known,
            form: form.clone(),
            quarantine,
            reported,
        })
    }

    fn column(&self, place: usize) -> Option<&FormColumn> {
        Some(&self.form.columns[(*self.known.get(place)?)?])
    }

    /// The cells of a row that the form has a use for.
    pub fn cells<'a>(&'a self, row: &'a Row) -> impl Iterator<Item = (&'a FormColumn, &'a str)> {
        let cells = row.cells.iter().enumerate();
        cells.filter_map(|(place, cell)| Some((self.column(place)?, cell.as_str())))
    }

    /// Columns up to the last that has a title. Exports often end their titles with empty cells.
    pub fn width(&self) -> usize {
        let last = self.titles.iter().rposition(|title| !title.is_empty());
        last.map_or(0, |last| last + 1)
    }

    /// What a row says past the last title, where a comma that is not quoted moves it; nothing if
    /// no cell there says anything.
    pub fn untitled(&self, row: &Row) -> Option<String> {
        let cells = row.cells.iter().skip(self.width());
        let said: Vec<&str> = cells
            .map(String::as_str)
            .filter(|cell| !cell.is_empty())
            .collect();
        (!said.is_empty()).then(|| said.join(", "))
    }

    /// What is the same in every row.
    pub fn constants(&self) -> impl Iterator<Item = (&Target, &str)> {
        let constants = self.form.constants.iter();
        constants.map(|(target, text)| (target, text.as_str()))
    }

    /// The place in quarantine that a reported row has.
    pub fn quarantine<'r>(&self, row: &'r Row) -> Option<&'r str> {
        let cell = row.cells.get(self.quarantine?)?;
        (!cell.is_empty()).then_some(cell.as_str())
    }

    /// The row as people know it: by its number in the file that was first handed in, also when a
    /// report on that file is handed in again.
    pub fn number_of(&self, row: &Row) -> String {
        let cell = self.reported.and_then(|at| row.cells.get(at));
        match cell.map(String::as_str) {
            None | Some("") => row.number.to_string(),
            Some(number) => number.to_owned(),
        }
    }

    /// The title under which people find what a fault is about, by its path in
    /// the record.
    pub fn title_of(&self, path: &str) -> Option<&str> {
        let path = path.strip_prefix("record.")?;
        let is = |target: &Target| match target {
            Target::Subject(_) => path == "subject",
            target => target.to_string() == path,
        };
        let mut places = 0..self.known.len();
        let place =
            places.find(|place| self.column(*place).is_some_and(|column| is(&column.to)))?;
        self.titles.get(place).map(String::as_str)
    }

    /// True if the row repeats the titles, as files put together from several do.
    pub fn is_titles(&self, row: &Row) -> bool {
        row.cells == self.titles
    }
}

/// `form`, with the record type's own names as titles beside its own: what was filled in before
/// there was such a form is read as before.
///
/// A title of the form keeps its meaning, and what is the same in every row stays that.
pub fn with_own_names(form: &Form, record_type: &RecordType) -> Form {
    let mut both = form.clone();
    let mut taken: BTreeSet<String> = both
        .columns
        .iter()
        .flat_map(FormColumn::titles)
        .map(key)
        .collect();
    for own in Form::plain(record_type).columns {
        if form.constants.contains_key(&own.to) {
            continue;
        }
        let titles = own.titles().filter(|title| taken.insert(key(title)));
        let titles: Vec<String> = titles.map(str::to_owned).collect();
        match both.columns.iter_mut().find(|column| column.to == own.to) {
            Some(column) => column.also.extend(titles),
            None => {
                let mut titles = titles.into_iter();
                let Some(title) = titles.next() else { continue };
                let also = titles.collect();
                both.columns.push(FormColumn { title, also, ..own });
            }
        }
    }
    both
}

/// A title as it is compared: signs of either width, without blanks and the
/// star of a required column.
fn key(title: &str) -> String {
    half_width(title)
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '*')
        .flat_map(char::to_lowercase)
        .collect()
}
