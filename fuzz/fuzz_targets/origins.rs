//! See `wsmaster_fuzz::origins`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::origins::run(data));
