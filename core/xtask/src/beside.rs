//! Programs that are started beside this tool: Ctrl-C on the terminal does not reach them, and they end with it.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// A program that gets SIGTERM when the thread that starts it has ended. The kernel sees to that, so nothing of ours has
/// to stay awake for it.
pub(crate) fn beside(program: &Path) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "TERM"]).arg(program).stdin(Stdio::null()).process_group(0);
    command
}
