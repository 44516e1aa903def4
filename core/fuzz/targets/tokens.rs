//! Tokens, and claims that are signed.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| exedra_fuzz::tokens(input));
