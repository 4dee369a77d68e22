//! Lines for the person who watches: on standard error, so that standard output stays for results.

/// Prints a line to standard error; nobody there to read it is no error.
#[macro_export]
macro_rules! say {
    ($($text:tt)*) => {{
        use std::io::Write as _;
        let _nobody = writeln!(std::io::stderr().lock(), $($text)*);
    }};
}
