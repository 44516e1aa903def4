//! Loads plugins and runs them over the C ABI (`core/abi/include/exedra.h`). The hub sees one port,
//! [`exedra_hub::port::Plugins`]; plugins see tables of functions; neither sees the other.
//!
//! ## Layout
//!
//! * from a file to a contract: `load` (the steps), `verify` (who may have written it), `elf` (what it is), `library` (the dynamic
//!   loader, named nowhere else), `entry` (do both sides speak the same)
//! * another version in its place: `reload`, `aim` (handlers are found again by name)
//! * at work: `instance` (one plugin's life), `calling` (the way of a call), `dispatch` (its words, both ways),
//!   `calls` (those that wait), `context`, `task`, `gate` (who may enter when), `answer` (who owns results)
//! * what plugins may ask: `door` (the host table) and `ops` (one file per extension)
//! * what a checking host writes down: `logbook`
//! * where it runs: `executor`, `watchdog`, `health`
//!
//! A plugin has all rights of the process. What is checked here protects from mistakes and from files that were
//! changed, not from a plugin that means harm.

mod aim;
mod answer;
mod calling;
mod calls;
mod context;
mod declared;
mod dispatch;
mod door;
mod elf;
mod entry;
mod error;
mod executor;
mod gate;
mod health;
mod host;
mod instance;
mod library;
mod load;
mod log;
pub mod logbook;
mod memory;
mod ops;
mod payload;
mod reach;
mod reload;
mod spec;
mod state;
mod task;
mod verify;
mod watchdog;

pub use error::LoadError;
pub use host::Host;
pub use load::inspect;
pub use memory::c_heap;
pub use reload::{Changed, Reload};
pub use spec::{HostConfig, PluginSpec, Source};
pub use state::{Condition, Inspection, PluginState};
