//! What commands read a line at a time, from files or standard input.

use std::fmt;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;

use tokio::sync::{mpsc, oneshot};

use super::output::Failure;

/// Reads `files`, or standard input where there is none, and sends what `parse` makes of every line
/// that is not blank. Ends with the input, at the first bad line, or when nobody takes more.
///
/// In a thread of its own, not a task of the runtime: that would wait for the end of the input,
/// though the mesh has already refused.
pub fn read_lines<T, P>(
    files: &[PathBuf],
    sender: mpsc::Sender<T>,
    parse: P,
) -> oneshot::Receiver<Result<(), Failure>>
where
    T: Send + 'static,
    P: Fn(&str) -> Result<T, String> + Send + 'static,
{
    let files = match files {
        [] => vec![PathBuf::from("-")],
        files => files.to_vec(),
    };
    let (ended, end) = oneshot::channel();
    std::thread::spawn(move || ended.send(read_all(&files, &sender, &parse)));
    end
}

fn read_all<T>(
    files: &[PathBuf],
    sender: &mpsc::Sender<T>,
    parse: &dyn Fn(&str) -> Result<T, String>,
) -> Result<(), Failure> {
    for file in files {
        let input: Box<dyn BufRead> = if file.as_os_str() == "-" {
            Box::new(BufReader::new(std::io::stdin()))
        } else {
            let opened = std::fs::File::open(file)
                .map_err(|error| Failure::usage(format!("{}: {error}", file.display())))?;
            Box::new(BufReader::new(opened))
        };
        for (number, text) in input.lines().enumerate() {
            let place = |error: &dyn fmt::Display| {
                let name = match file.to_string_lossy() {
                    name if name == "-" => "standard input".into(),
                    name => name,
                };
                Failure::usage(format!("{name}:{}: {error}", number + 1))
            };
            let text = text.map_err(|error| place(&error))?;
            if text.trim().is_empty() {
                continue;
            }
            let item = parse(&text).map_err(|error| place(&error))?;
            if sender.blocking_send(item).is_err() {
                // The server ended the stream; its status says why.
                return Ok(());
            }
        }
    }
    Ok(())
}
