//! See `wsmaster_fuzz::session`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::session::run(data));
