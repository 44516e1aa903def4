//! The control: a fuzzer that does not find this one finds nothing.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &str| exedra_fuzz::planted_bug(input));
