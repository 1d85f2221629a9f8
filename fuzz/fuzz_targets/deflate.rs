//! See `wsmaster_fuzz::deflate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::deflate::run(data));
