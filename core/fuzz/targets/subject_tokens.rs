//! Names and subjects of the bus.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| exedra_fuzz::subject_tokens(input));
