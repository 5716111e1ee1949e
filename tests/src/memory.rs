//! Memory of the processes of a mesh, as the system counts it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tally::role::Role;
use tokio::task::JoinHandle;

use crate::processes::Processes;

/// How often it is looked at.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Bytes in memory of a process for each role.
pub type Resident = [u64; Role::ALL.len()];

/// Bytes in memory of each role's process, now.
///
/// # Panics
///
/// If one does not run.
pub fn resident(processes: &Processes) -> Resident {
    Role::ALL.map(|role| of(processes.pid(role)).expect("it runs"))
}

/// Bytes that a process has in memory; nothing where there is none.
fn of(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let kilobytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kilobytes << 10)
}

/// Looks at it again and again, and keeps the most.
pub struct Watch {
    before: Resident,
    most: Arc<Mutex<Resident>>,
    pids: [u32; Role::ALL.len()],
    looking: JoinHandle<()>,
}

impl Watch {
    /// Begins.
    ///
    /// # Panics
    ///
    /// If a role does not run.
    pub fn start(processes: &Processes) -> Self {
        let before = resident(processes);
        let pids = Role::ALL.map(|role| processes.pid(role));
        let most = Arc::new(Mutex::new(before));
        let kept = most.clone();
        let looking = tokio::spawn(async move {
            loop {
                for (most, pid) in lock(&kept).iter_mut().zip(pids) {
                    *most = of(pid).unwrap_or_default().max(*most);
                }
                tokio::time::sleep(LOOK_AGAIN).await;
            }
        });
        Self {
            before,
            most,
            pids,
            looking,
        }
    }

    /// By how many bytes a role has grown at most.
    pub fn growth(&self, role: Role) -> u64 {
        let most = lock(&self.most)[role as usize];
        most - self.before[role as usize]
    }

    /// Says of each role what it had before, at most, and has now.
    pub fn report(&self, when: &str) {
        let most = *lock(&self.most);
        for role in Role::ALL {
            let now = of(self.pids[role as usize]).unwrap_or_default();
            let [before, most, now] = [self.before[role as usize], most[role as usize], now]
                .map(|bytes| bytes as f64 / f64::from(1 << 20));
            println!(
                "memory, {when}: {role} {before:.0} MiB before, {most:.0} at most, {now:.0} now"
            );
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.looking.abort();
    }
}

fn lock(most: &Mutex<Resident>) -> std::sync::MutexGuard<'_, Resident> {
    most.lock().unwrap_or_else(PoisonError::into_inner)
}
