//! What the machine allows this process.

use rustix::process::{Resource, getrlimit};

use super::Finding;

/// Files beside connections: listeners, the store, the log, the bus, requests that open no link.
const OTHERS: u64 = 1024;

/// A connection is a file. The hub raises its soft limit to the hard one by itself.
pub(super) fn open_files(connections: usize) -> Finding {
    judge(getrlimit(Resource::Nofile).maximum, connections as u64)
}

fn judge(limit: Option<u64>, connections: u64) -> Finding {
    const CHECK: &str = "open files";
    let hint = "LimitNOFILE= in the systemd unit, `ulimits` in Compose, /etc/security/limits.conf; or limits.connections";
    match limit {
        None => Finding::ok(CHECK, "no limit"),
        Some(limit) if connections == 0 => {
            let says = format!("{limit} are allowed, and limits.connections sets no bound");
            Finding::warn(CHECK, says).hint("set limits.connections below the limit of open files")
        }
        Some(limit) if limit < connections.saturating_add(OTHERS) => {
            let says =
                format!("{limit} are allowed, {connections} connections and {OTHERS} other files need more");
            Finding::fail(CHECK, says).hint(hint)
        }
        Some(limit) => Finding::ok(CHECK, format!("{limit} are allowed, {connections} connections fit")),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Level;
    use super::*;

    #[test]
    fn limit_holds_all_connections() {
        assert_eq!(judge(None, 1).level, Level::Ok);
        assert_eq!(judge(Some(4096), 1000).level, Level::Ok);
        assert_eq!(judge(Some(1024), 1000).level, Level::Fail);
        assert_eq!(judge(Some(1024), 0).level, Level::Warn);
        assert_eq!(judge(Some(1024), u64::MAX).level, Level::Fail);
    }
}
