//! See `wsmaster_fuzz::api`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::api::run(data));
