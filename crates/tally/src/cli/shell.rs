//! `tally completions`, `man`: what a shell and its manual know of the commands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use super::output::{Failure, line};
use super::{Cli, Global};

/// The commands, each with its full name.
fn commands() -> clap::Command {
    let mut command = Cli::command();
    command.build();
    command
}

/// Arguments of `tally completions`.
#[derive(Debug, Args)]
pub struct Completions {
    /// Shell.
    shell: Shell,
}

impl Completions {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut commands(), "tally", &mut script);
        let script = String::from_utf8(script).map_err(Failure::usage)?;
        if global.json {
            let shell = self.shell.to_string();
            line(&serde_json::json!({"shell": shell, "script": script}).to_string());
        } else {
            line(script.trim_end());
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Arguments of `tally man`.
#[derive(Debug, Args)]
pub struct Man {
    /// Directory to write them to; made if it is not there.
    #[arg(value_name = "DIR", default_value = "man")]
    target: PathBuf,
}

impl Man {
    pub(super) fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let unusable = |error: std::io::Error| {
            Failure::usage(format!("directory {}: {error}", self.target.display()))
        };
        std::fs::create_dir_all(&self.target).map_err(unusable)?;
        let mut pages = Vec::new();
        collect(&commands(), &mut pages);
        for page in pages {
            let path = page.generate_to(&self.target).map_err(unusable)?;
            if global.json {
                line(&serde_json::json!({"page": path.display().to_string()}).to_string());
            } else {
                line(&path.display().to_string());
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The pages of a command and of those below it.
fn collect(command: &clap::Command, pages: &mut Vec<clap_mangen::Man>) {
    pages.push(clap_mangen::Man::new(command.clone()));
    for below in command.get_subcommands() {
        // `help` only repeats the others.
        if !below.is_hide_set() && below.get_name() != "help" {
            collect(below, pages);
        }
    }
}
