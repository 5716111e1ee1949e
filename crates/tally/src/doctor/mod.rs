//! What is wrong with a mesh, and what to do about it. Changes nothing.
//!
//! Every module first asks, bounded in time, and then judges what it was told;
//! judging is a function of facts.

mod certificates;
mod clocks;
mod databases;
mod directory;
mod finding;
mod keyring;
mod logs;
mod processes;
mod readers;
mod same;
mod topics;

use std::time::{Duration, SystemTime};

use futures::future::join_all;

use crate::data_dir::{DataDir, Endpoints};
use crate::mesh::{Peers, Storage};
use crate::role::Role;
pub use finding::{Finding, Level};
use processes::Process;

/// Bound on every question: a process or service that hangs is told of as one
/// that is away.
const PATIENCE: Duration = Duration::from_secs(10);

/// What is examined.
#[derive(Debug)]
pub struct Plan {
    /// The data directory of this machine.
    pub dir: DataDir,
    /// Name of the certificate to ask under.
    pub certificate: String,
    /// Where the roles and the cluster are.
    pub peers: Peers,
    /// What each role keeps where, in the order of [`Role::ALL`].
    pub storages: [Storage; Role::ALL.len()],
    /// How old what is known of `lists` may be for a check to be answered.
    pub freshness: Duration,
}

impl Plan {
    /// The processes that there should be: the roles of each, and its address.
    fn processes(&self) -> Vec<(Vec<Role>, String)> {
        if !self.dir.is_embedded() {
            let of = |role| (vec![role], self.peers.endpoints[role as usize].clone());
            return Role::ALL.map(of).to_vec();
        }
        match self.dir.endpoints() {
            Ok(Endpoints::One(endpoint)) => vec![(Role::ALL.to_vec(), endpoint)],
            _ => vec![(Role::ALL.to_vec(), String::new())],
        }
    }
}

/// Runs every check, whatever the others come to.
pub async fn examine(plan: &Plan) -> Vec<Finding> {
    let now = SystemTime::now();
    let mut findings = vec![directory::initialised(&plan.dir)];
    findings.push(directory::rights(plan.dir.private()));
    findings.extend(certificates::examine(&plan.dir, &plan.certificate, now));
    let embedded = plan.dir.is_embedded();
    let (processes, stores, keyring, topics) = tokio::join!(
        ask_processes(plan),
        databases::ask(plan),
        keyring::examine(plan),
        topics::ask(plan),
    );
    findings.extend(processes.iter().map(processes::judge));
    findings.push(same::versions(&processes));
    findings.push(same::packs(&processes));
    findings.extend(clocks::judge(&processes, plan.freshness));
    findings.extend(processes.iter().flat_map(readers::judge));
    findings.extend(logs::judge(&processes));
    findings.push(same::shards(&processes, &stores));
    findings.extend(stores.iter().map(databases::judge));
    findings.push(keyring);
    // Within one process there is no broker.
    if !embedded {
        findings.extend(topics::judge(plan, topics, &processes));
    }
    findings
}

async fn ask_processes(plan: &Plan) -> Vec<Process> {
    let tls = plan.dir.client_tls(&plan.certificate);
    let tls = tls.map_err(|error| crate::data_dir::causes(&error));
    let ask = |(roles, endpoint)| processes::ask(roles, endpoint, tls.as_ref());
    let mut asked: Vec<Process> = join_all(plan.processes().into_iter().map(ask)).await;
    // A reader is never ahead of a head that was asked for after it.
    join_all(asked.iter_mut().map(Process::ask_heads)).await;
    asked
}
