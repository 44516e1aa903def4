//! Bodies of HTTP polling.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| exedra_fuzz::engineio_payload(input));
