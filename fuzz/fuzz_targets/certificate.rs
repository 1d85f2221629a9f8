//! See `wsmaster_fuzz::certificate`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::certificate::run(data));
