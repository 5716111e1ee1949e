//! `tally import`: the tables that departments exchange.
//!
//! Rows go out on one push stream while the file is read; what is unanswered is
//! bounded. A position beside the file lets an import that was cut off go on
//! where it was: what is sent twice is known to the mesh by the command ids of
//! the rows, which follow from the import and the row.

mod faults;
mod files;
mod form;
mod patience;
mod rows;
mod run;
mod state;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use clap::Args;
use indicatif::ProgressBar;
use tally_domain::policy::{Form, Pack};
use tally_exchange::columns::with_own_names;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

use super::Global;
use super::output::{Failure, line};
use crate::pack_client::active_pack;
use faults::FaultFile;
use files::{beside, next_report, progress_bar};
use form::mapping;
pub(super) use form::pick_form;
use patience::Patience;
use rows::{Rows, denial};
use run::{Run, Voice};
pub(crate) use state::Counts;
use state::{State, Target, bases};

/// Arguments of `tally import`.
#[derive(Debug, Args)]
pub struct Import {
    /// A table: CSV in UTF-8, UTF-16 or GB18030, or an .xlsx workbook.
    file: PathBuf,
    /// Record type that the rows state.
    #[arg(long, required_unless_present = "mapping", conflicts_with = "mapping")]
    item: Option<String>,
    /// Form of the policy pack; without it, the one that the record type has.
    #[arg(long, conflicts_with = "mapping")]
    form: Option<String>,
    /// A mapping file for a table that the pack has no form for.
    #[arg(long)]
    mapping: Option<PathBuf>,
    /// Where the bad rows go, a workbook to be corrected and handed in again [default: beside the
    /// file].
    #[arg(long, value_name = "XLSX")]
    report: Option<PathBuf>,
    /// Keeps no refused row in quarantine; bad rows are in the report only.
    #[arg(long)]
    no_quarantine: bool,
    /// Begins anew where an earlier import of the same file was cut off.
    #[arg(long)]
    restart: bool,
}

impl Import {
    pub(super) async fn run(&self, global: &Global) -> Result<ExitCode, Failure> {
        let voice = match global.json {
            true => Voice::Json,
            false => Voice::People,
        };
        let counts = self.import(global, voice).await?;
        Ok(match counts.bad() {
            0 => ExitCode::SUCCESS,
            _ => ExitCode::from(2),
        })
    }

    /// Imports a table without a word, and says what became of its rows. What
    /// `tally import` does is in the files beside the table: see [`Import`].
    ///
    /// # Errors
    ///
    /// As of `tally import`.
    pub(crate) async fn quietly(
        dir: &Path,
        acting_as: &str,
        file: PathBuf,
        item: &str,
    ) -> Result<Counts, Failure> {
        let import = Self {
            file,
            item: Some(item.to_owned()),
            form: None,
            mapping: None,
            report: None,
            restart: false,
            no_quarantine: false,
        };
        let global = Global::acting_as(dir, acting_as);
        import.import(&global, Voice::None).await
    }

    /// Imports, and goes on by itself where the mesh asks for it.
    async fn import(&self, global: &Global, voice: Voice) -> Result<Counts, Failure> {
        let mut patience = Patience::default();
        let mut restart = self.restart;
        loop {
            let (refusal, position) = match self.attempt(global, voice, restart).await? {
                Attempt::Done(counts) => return Ok(counts),
                Attempt::CutOff(refusal, position) => (refusal, position),
            };
            let pause = patience.pause(&refusal, position);
            let failure = Failure::from(refusal);
            let Some(pause) = pause else {
                return Err(
                    failure.or_try("import the same file again: it goes on where this was cut off")
                );
            };
            if voice != Voice::None {
                eprintln!("after row {position}: {failure}");
                eprintln!("  goes on by itself in {:.1} s", pause.as_secs_f64());
            }
            tokio::time::sleep(pause).await;
            restart = false;
        }
    }

    async fn attempt(
        &self,
        global: &Global,
        voice: Voice,
        restart: bool,
    ) -> Result<Attempt, Failure> {
        let client = global.client().await?;
        let pack = Arc::new(active_pack(&client).await?);
        let form = Arc::new(self.form(&pack)?);
        let record_type = pack.record_type(&form.record_type).ok_or_else(|| {
            Failure::usage(format!(
                "the policy pack has no record type `{}`",
                form.record_type
            ))
        })?;
        let authority = global.authority()?;
        let target = Target {
            authority: &authority,
            acting_as: &global.acting_as,
            form: &form,
            record_type,
            bases: bases(&pack, record_type),
        };
        let state = State::open(&self.file, &target, restart)?;
        if state.position() > 0 && voice == Voice::People {
            line(&format!(
                "goes on after row {}, where it was cut off",
                state.position()
            ));
        }
        let faults = FaultFile::open(&self.file, state.counts().bad())?;
        let read_bytes = Arc::new(AtomicU64::new(0));
        let start = rows::Start {
            file: self.file.clone(),
            form,
            record_type: record_type.clone(),
            pack: pack.clone(),
            after: state.position(),
            ids: state.ids(),
            quarantine: !self.no_quarantine,
            read_bytes: read_bytes.clone(),
        };
        let (requests, mut rows) = Rows::start(start);
        let Some(columns) = rows.columns().await else {
            rows.ended().await?;
            return Err(Failure::usage("the file has no rows"));
        };
        if voice == Voice::People && !columns.unknown.is_empty() {
            line(&format!(
                "left out, as the form has no such columns: {}",
                columns.unknown.join(", ")
            ));
        }
        let mut run = Run {
            voice,
            columns,
            state,
            faults,
            printed: 0,
            progress: match voice {
                Voice::None => ProgressBar::hidden(),
                Voice::People | Voice::Json => progress_bar(&self.file),
            },
        };
        let mut answers = client
            .collection()
            .push_records(ReceiverStream::new(requests))
            .await?
            .into_inner();
        let lost = loop {
            match answers.message().await {
                Ok(Some(answer)) => {
                    let row = rows.next().await.ok_or_else(|| {
                        Failure::environment("the mesh answered more rows than were sent")
                    })?;
                    if answer.command_id != row.command_id {
                        return Err(Failure::environment(
                            "the mesh answered another row than the next; import the file again",
                        ));
                    }
                    if let Some(denied) = denial(&answer) {
                        run.progress.finish_and_clear();
                        return Err(run.denied(denied)?);
                    }
                    run.take(&row.row, answer)?;
                    run.progress
                        .set_position(read_bytes.load(Ordering::Relaxed));
                }
                Ok(None) => break None,
                Err(status) => break Some(status),
            }
        };
        run.progress.finish_and_clear();
        run.keep()?;
        if lost.is_none() && rows.next().await.is_some() {
            return Err(Failure::environment(
                "the mesh ended the stream early; import the file again, it goes on there",
            ));
        }
        if let Some(status) = lost {
            return Ok(Attempt::CutOff(status, run.state.position()));
        }
        run.state.blank(rows.ended().await?);
        self.finish(run).map(Attempt::Done)
    }

    fn form(&self, pack: &Pack) -> Result<Form, Failure> {
        match &self.mapping {
            Some(path) => mapping(path, pack),
            None => {
                let item = self.item.as_deref().unwrap_or_default();
                let form = pick_form(pack, item, self.form.as_deref())?;
                let record_type = pack.record_type(&form.record_type);
                Ok(record_type.map_or(form.clone(), |it| with_own_names(&form, it)))
            }
        }
    }

    fn finish(&self, mut run: Run) -> Result<Counts, Failure> {
        let counts = run.state.counts();
        let report = self
            .report
            .clone()
            .unwrap_or_else(|| next_report(&self.file));
        let left_out = match counts.bad() {
            0 => 0,
            _ => run.faults.write_book(&report, &run.columns)?,
        };
        run.sum_up(&report);
        // First, so that whoever is cut off here does not go on to a report without its rows.
        run.state.remove()?;
        if left_out > 0 {
            eprintln!(
                "{left_out} bad rows are more than a workbook holds; all are in {}",
                beside(&self.file, "tally-faults").display()
            );
        } else {
            run.faults.remove()?;
        }
        Ok(counts)
    }
}

/// How a try ended.
enum Attempt {
    Done(Counts),
    /// The mesh ended the stream; rows up to this one are answered.
    CutOff(Status, u64),
}
