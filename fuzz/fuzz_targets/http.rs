//! See `wsmaster_fuzz::http`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::http::run(data));
