//! What must hold of any bytes from outside, as functions that panic when it does not.
//!
//! Each is a target of its own: `targets/` hands it to libFuzzer, which looks for an input that breaks it. The
//! examples in `seeds/` are where the search begins, and `cargo test` runs them all. What each target reads as its
//! input is said in its file.

mod config;
mod engineio;
mod planted;
mod socketio;
mod subjects;
mod tokens;
mod websocket;

pub use config::config;
pub use engineio::engineio_payload;
pub use planted::planted_bug;
pub use socketio::socketio_packet;
pub use subjects::subject_tokens;
pub use tokens::tokens;
pub use websocket::websocket_frames;

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// How many seeds a target has, all of them having passed.
    fn replay(target: &str, run: impl Fn(&[u8])) -> usize {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target);
        let seeds: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
        for seed in &seeds {
            eprintln!("{}", seed.display()); // which one it was, when one panics
            run(&fs::read(seed).unwrap());
        }
        seeds.len()
    }

    fn replay_text(target: &str, run: impl Fn(&str)) -> usize {
        replay(target, |bytes| run(std::str::from_utf8(bytes).unwrap()))
    }

    #[test]
    fn every_seed_passes() {
        assert!(replay("websocket_frames", websocket_frames) > 0);
        assert!(replay_text("engineio_payload", engineio_payload) > 0);
        assert!(replay_text("socketio_packet", socketio_packet) > 0);
        assert!(replay_text("subject_tokens", subject_tokens) > 0);
        assert!(replay_text("config", config) > 0);
        assert!(replay_text("tokens", tokens) > 0);
    }

    #[test]
    fn planted_bug_is_reachable() {
        planted_bug("harmless");
        assert!(std::panic::catch_unwind(|| planted_bug("=2E=2A")).is_err());
    }
}
