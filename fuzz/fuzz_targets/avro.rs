#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| tress_fuzz::feed("avro", input));
