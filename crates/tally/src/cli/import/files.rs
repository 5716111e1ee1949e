//! The file that an import reads: how far it is, and what is kept beside it.

use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};

use indicatif::{ProgressBar, ProgressStyle};

/// The report beside a file: a new one, because one that is there may have been
/// edited since.
pub(super) fn next_report(file: &Path) -> PathBuf {
    let first = beside(file, "faults.xlsx");
    let more = (2..).map(|n: u32| beside(file, &format!("faults-{n}.xlsx")));
    std::iter::once(first)
        .chain(more)
        .find(|report| !report.exists())
        .expect("a directory has fewer files than numbers")
}

/// A file's name with more after it, in the same directory.
pub(super) fn beside(file: &Path, more: &str) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(".");
    name.push(more);
    file.with_file_name(name)
}

/// How far the file is read, where somebody looks on.
pub(super) fn progress_bar(file: &Path) -> ProgressBar {
    if !std::io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    let bytes = std::fs::metadata(file).map_or(0, |metadata| metadata.len());
    let style = ProgressStyle::with_template(
        "{bar:30} {bytes} of {total_bytes}, {bytes_per_sec}, {eta} left",
    );
    ProgressBar::new(bytes).with_style(style.expect("the template is a constant"))
}
