//! See `wsmaster_fuzz::preface`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| wsmaster_fuzz::preface::run(data));
