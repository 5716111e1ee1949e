//! What a load takes of the machine.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

/// What a load took of the machine, clients included.
#[derive(Clone, Copy)]
pub struct Cost {
    /// From the first request on.
    pub elapsed: Duration,
    /// Time of all processors; nothing where the system does not tell.
    pub processors: Option<Spent>,
}

/// Time of all processors, by who had it.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    /// This process.
    pub here: Duration,
    /// Other processes of the mesh.
    pub mesh: Duration,
    /// The database.
    pub database: Duration,
}

impl Spent {
    /// All of it.
    pub fn all(self) -> Duration {
        self.here + self.mesh + self.database
    }

    fn since(self, then: Self) -> Self {
        Self {
            here: self.here.saturating_sub(then.here),
            mesh: self.mesh.saturating_sub(then.mesh),
            database: self.database.saturating_sub(then.database),
        }
    }
}

/// Measures a load.
pub struct Meter {
    begun: Instant,
    others: Others,
    processors: Option<Spent>,
}

/// Processes that work beside this one.
#[derive(Default, Clone)]
pub struct Others {
    /// Of the mesh.
    pub mesh: Vec<u32>,
    /// What starts a process for each connection to the database.
    pub database: Option<u32>,
}

impl Meter {
    /// Begins.
    pub fn start() -> Self {
        Self::with(Others::default())
    }

    /// The same with what other processes take.
    pub fn with(others: Others) -> Self {
        Self {
            processors: others.processors(),
            others,
            begun: Instant::now(),
        }
    }

    /// What it took so far.
    pub fn read(&self) -> Cost {
        let elapsed = self.begun.elapsed();
        let processors = self
            .others
            .processors()
            .zip(self.processors)
            .map(|(now, then)| now.since(then));
        Cost {
            elapsed,
            processors,
        }
    }
}

impl Others {
    /// Time that each has had of all processors, from Linux' `/proc`.
    fn processors(&self) -> Option<Spent> {
        let mut spent = Spent {
            here: Stat::read(Path::new("/proc/self"))?.processors,
            ..Spent::default()
        };
        for process in &self.mesh {
            spent.mesh += Stat::read(&Path::new("/proc").join(process.to_string()))?.processors;
        }
        if let Some(parent) = self.database {
            let each = fs::read_dir("/proc").ok()?.flatten();
            let children = each
                .filter_map(|entry| Stat::read(&entry.path()))
                .filter(|stat| stat.parent == parent);
            spent.database = children.map(|stat| stat.processors).sum();
        }
        Some(spent)
    }
}

struct Stat {
    parent: u32,
    processors: Duration,
}

impl Stat {
    /// What `/proc` says of a process.
    fn read(of: &Path) -> Option<Self> {
        /// Clock ticks a second, as the kernel counts them for user space (`man 5 proc`).
        const TICKS: u64 = 100;
        let stat = fs::read_to_string(of.join("stat")).ok()?;
        // The second field is a name in parentheses, which may hold anything.
        let fields: Vec<&str> = stat.rsplit(')').next()?.split_whitespace().collect();
        let number = |field: usize| fields.get(field)?.parse::<u64>().ok();
        Some(Self {
            parent: u32::try_from(number(1)?).ok()?,
            processors: Duration::from_millis((number(11)? + number(12)?) * 1_000 / TICKS),
        })
    }
}

/// The process that starts one for each connection to a server whose process for one of
/// them has this number; nothing where that is not on this machine.
pub fn parent_of(backend: u32) -> Option<u32> {
    let place = Path::new("/proc").join(backend.to_string());
    let name = fs::read_to_string(place.join("comm")).ok()?;
    let stat = Stat::read(&place)?;
    (name.trim() == "postgres").then_some(stat.parent)
}
