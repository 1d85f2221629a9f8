//! See `wsmaster_fuzz::config`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::config::run(data));
