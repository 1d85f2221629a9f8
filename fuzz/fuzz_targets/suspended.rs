//! See `wsmaster_fuzz::suspended`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::suspended::run(data));
