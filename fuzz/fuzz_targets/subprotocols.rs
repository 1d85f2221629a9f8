//! See `wsmaster_fuzz::subprotocols`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::subprotocols::run(data));
