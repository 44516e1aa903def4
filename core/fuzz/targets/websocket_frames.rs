//! WebSocket bytes, cut anywhere, compressed or not.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| exedra_fuzz::websocket_frames(input));
