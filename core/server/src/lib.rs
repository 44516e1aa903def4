//! The binary of Exedra as a library. It reads settings, puts the parts of a hub together, keeps them running and
//! takes them apart again; the rules of the hub are elsewhere.
//!
//! * [`check`]: whether a plugin keeps the contract
//! * [`cli`]: commands, exit codes, what is printed
//! * [`config`]: the settings
//! * [`app`]: build, run, drain
//! * [`admin`]: the operators' listener
//! * [`demo`]: the demo pages and their tokens
//! * [`doctor`]: whether a hub would do well here
//! * [`descriptions`]: what the plugins accept and emit, as documents
//! * [`lineup`]: the plugins of a running hub, and how they change
//! * [`plugins`]: libraries, inspected and checked
//! * [`scaffold`]: projects for new plugins
//! * [`token`]: development tokens
//! * [`telemetry`]: the log
//! * [`clock`]: time for the hub

pub mod admin;
pub mod app;
pub mod check;
pub mod cli;
pub mod clock;
pub mod config;
pub mod demo;
pub mod descriptions;
pub mod doctor;
pub mod lineup;
pub mod plugins;
pub mod scaffold;
pub mod telemetry;
pub mod token;

/// The version of this build.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
/// The revision of the source, `unknown` outside a checkout.
pub const REVISION: &str = env!("EXEDRA_REVISION");
/// The compiler.
pub const RUSTC: &str = env!("EXEDRA_RUSTC");
