//! Packets of Socket.IO clients.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| exedra_fuzz::socketio_packet(input));
