//! One plugin that uses everything, on the real hub and the real host: what authors are promised, and what must hold
//! when a plugin misbehaves.

mod acks;
mod faults;
mod rest;
mod rooms;
mod sample;
mod services;
mod store;
mod timing;

use exedra_sdk::testing::TestHub;
use serde_json::json;

/// A hub with the sample plugin.
fn hub() -> TestHub {
    TestHub::with(sample::entry(), json!({}))
}
