//! The load tester behind `exedra load`.
//!
//! Thousands of Socket.IO clients in one thread ([`client`](mod@client)), scenarios that use them
//! ([`scenario`](mod@scenario)), and a [`Report`] of what was counted and measured. Three rules:
//!
//! * Latency is counted from when a thing should have been sent, not from when it was (no coordinated omission).
//! * The server's memory and CPU time are read from the kernel, for the process that holds the port, before and after.
//! * What was not delivered is a failure, never a smaller number.

mod args;
mod assertion;
mod board;
mod client;
mod error;
mod fleet;
mod process;
mod progress;
mod report;
mod scenario;
mod target;

pub use args::{Common, LoadArgs, Scenario};
pub use error::LoadError;
pub use report::{Figure, Latency, Report, Unit};
pub use target::Mint;

/// Runs one scenario to its end. `mint` makes a token for a user's id; without it clients come without tokens,
/// unless the arguments hold one.
///
/// # Errors
/// What is wrong with the arguments ([`LoadError::Usage`]), or what failed on the way. Assertions that do not hold
/// are no error here: see [`Report::holds`].
pub fn run(args: &LoadArgs, mint: Option<Mint>) -> Result<Report, LoadError> {
    let asserts = assertion::parse_all(&args.common().asserts)?;
    let target = target::Target::new(args.common(), mint)?;
    raise_file_limit();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| LoadError::Failed(format!("the runtime cannot be started: {error}")))?;
    let mut report = runtime.block_on(scenario::run(args, target))?;
    report.judge(&asserts)?;
    Ok(report)
}

/// Every client is an open file.
fn raise_file_limit() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    let _ = setrlimit(Resource::Nofile, limit); // the lower limit still allows small runs
}
