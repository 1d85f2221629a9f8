//! See `wsmaster_fuzz::channels`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::channels::run(data));
