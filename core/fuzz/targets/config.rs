//! Configuration files.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| exedra_fuzz::config(input));
