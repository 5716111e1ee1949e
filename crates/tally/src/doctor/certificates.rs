//! Certificates, and how long they hold.

use std::fs;
use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tally_auth::pki::holds_until;

use super::Finding;
use crate::data_dir::DataDir;
use crate::data_dir::state::{Holder, Kept};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A certificate that ends sooner is told of.
const SOON: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// Looks at every certificate that this machine needs.
pub(super) fn examine(dir: &DataDir, client: &str, now: SystemTime) -> Vec<Finding> {
    let embedded = dir.is_embedded();
    let look = |kept: Kept| {
        let until = fs::read_to_string(&kept.path)
            .map_err(|error| error.to_string())
            .and_then(|pem| holds_until(&pem).map_err(|fault| fault.to_string()));
        judge(&kept, until, now, embedded)
    };
    let kept = dir.kept_certificates(client);
    kept.into_iter().map(look).collect()
}

fn judge(
    kept: &Kept,
    until: Result<SystemTime, String>,
    now: SystemTime,
    embedded: bool,
) -> Finding {
    let what = match &kept.of {
        Holder::Authority => "certificate ca".to_owned(),
        Holder::Server => "certificate server".to_owned(),
        Holder::Role(role) => format!("certificate {role}"),
        Holder::Client(name) => format!("certificate {name}"),
    };
    let path = kept.path.display();
    let remedy = || renewal(kept, embedded);
    let until = match until {
        Ok(until) => until,
        Err(reason) => return Finding::fault(what, format!("{path}: {reason}"), remedy()),
    };
    let day = Timestamp::try_from(until).map_or_else(|_| "?".to_owned(), |at| at.to_string());
    match until.duration_since(now) {
        Err(_) => Finding::fault(what, format!("{path} expired on {day}"), remedy()),
        Ok(left) if left < SOON => {
            let days = left.as_secs() / DAY.as_secs();
            let detail = format!("{path} expires on {day}, in {days} days");
            Finding::warning(what, detail, remedy())
        }
        Ok(left) => {
            let days = left.as_secs() / DAY.as_secs();
            Finding::ok(what, format!("until {day}, {days} days"))
        }
    }
}

/// How a new one is had from the development authority.
fn renewal(kept: &Kept, embedded: bool) -> String {
    let path = &kept.path;
    let pair = format!(
        "{} and {}",
        path.display(),
        path.with_extension("key").display()
    );
    let again = if embedded {
        "stop the mesh and start it again"
    } else {
        "run `tally init`"
    };
    match &kept.of {
        Holder::Authority => format!(
            "every certificate is void with its authority: put {} back from its copy, or make a new authority \
             and have every certificate issued anew",
            path.display()
        ),
        Holder::Server => format!(
            "move {pair} away, {again}, which issues it anew, and restart every role; or have your own authority issue it"
        ),
        Holder::Role(role) => format!(
            "move {pair} away, {again}, which issues it anew, and restart {role}; or have your own authority issue it"
        ),
        Holder::Client(name) if name == crate::data_dir::OPERATOR => {
            format!(
                "move {pair} away and {again}, which issues it anew; or have your own authority issue it"
            )
        }
        Holder::Client(name) => {
            format!("move {pair} away and issue it anew: `tally cert issue {name} --help` says how")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;
    use crate::role::Role;

    #[test]
    fn a_certificate_is_told_of_a_month_before_its_end() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_800_000_000);
        let kept = Kept {
            of: Holder::Role(Role::Lists),
            path: "pki/mesh-lists.pem".into(),
        };
        let judge = |until| judge(&kept, until, now, false);
        assert_eq!(judge(Ok(now + SOON)).level, Level::Ok);
        let soon = judge(Ok(now + SOON - Duration::from_secs(1)));
        assert_eq!(soon.level, Level::Warning);
        assert!(soon.detail.contains("in 29 days"), "{soon:?}");
        let late = judge(Ok(now - Duration::from_secs(1)));
        assert_eq!(late.level, Level::Fault);
        assert!(late.detail.contains("expired on 2027-01-15"), "{late:?}");
        assert!(late.remedy.contains("pki/mesh-lists.key"), "{late:?}");
        assert!(late.remedy.contains("tally init"), "{late:?}");
        let gone = judge(Err("no such file".to_owned()));
        assert_eq!(gone.level, Level::Fault);
    }
}
