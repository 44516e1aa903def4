//! The binary from outside: its words, its exit codes, its files and its listeners. Every test starts the real
//! program on ports that the system chooses.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod admin;
mod check;
mod config;
mod plugin;
mod serve;
mod support;
mod token;
