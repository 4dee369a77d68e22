//! The functions that an expression may call. Each gives the same answer for the same arguments, everywhere and always, and none
//! can make a long value of a short one. Adding one is compatible; changing what one answers raises the plan's `semantics`.

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use datafusion_expr::ScalarUDF;
use datafusion_functions::{core, datetime, math, regex, string, unicode};

/// Sorted by name; what users may write.
pub const ALLOWED: &[&str] = &[
    "abs",
    "acos",
    "asin",
    "atan",
    "atan2",
    "ascii",
    "bit_length",
    "btrim",
    "cbrt",
    "ceil",
    "character_length",
    "chr",
    "coalesce",
    "concat",
    "concat_ws",
    "contains",
    "cos",
    "cot",
    "date_bin",
    "date_part",
    "date_trunc",
    "degrees",
    "ends_with",
    "exp",
    "find_in_set",
    "floor",
    "from_unixtime",
    "gcd",
    "greatest",
    "initcap",
    "isnan",
    "iszero",
    "lcm",
    "least",
    "left",
    "levenshtein",
    "ln",
    "log",
    "log10",
    "log2",
    "lower",
    "ltrim",
    "make_date",
    "nanvl",
    "nullif",
    "nvl",
    "nvl2",
    "octet_length",
    "overlay",
    "pi",
    "power",
    "radians",
    "regexp_count",
    "regexp_instr",
    "regexp_like",
    "regexp_replace",
    "replace",
    "reverse",
    "right",
    "round",
    "rtrim",
    "signum",
    "sin",
    "split_part",
    "sqrt",
    "starts_with",
    "strpos",
    "substr",
    "substr_index",
    "tan",
    "tanh",
    "to_char",
    "to_date",
    "to_hex",
    "to_timestamp_micros",
    "to_timestamp_millis",
    "to_timestamp_seconds",
    "to_unixtime",
    "translate",
    "trunc",
    "upper",
];

/// The allowed functions by name and by every alias.
pub(super) static FUNCTIONS: LazyLock<BTreeMap<String, Arc<ScalarUDF>>> = LazyLock::new(|| {
    let all = [core::functions(), datetime::functions(), math::functions(), regex::functions(), string::functions(), unicode::functions()];
    let allowed = all.into_iter().flatten().filter(|f| ALLOWED.contains(&f.name()));
    allowed
        .flat_map(|f| {
            let names: Vec<_> = std::iter::once(f.name()).chain(f.aliases().iter().map(String::as_str)).map(str::to_owned).collect();
            names.into_iter().map(move |name| (name, Arc::clone(&f)))
        })
        .collect()
});

#[cfg(test)]
mod tests {
    use datafusion_expr::Volatility;

    use super::{ALLOWED, FUNCTIONS};

    #[test]
    fn every_allowed_function_exists_and_is_immutable() {
        for name in ALLOWED {
            let function = FUNCTIONS.get(*name).unwrap_or_else(|| panic!("{name} does not exist"));
            assert_eq!(function.signature().volatility, Volatility::Immutable, "{name}");
        }
        for name in ["now", "random", "uuid", "current_date", "version", "arrow_cast", "repeat", "lpad"] {
            assert!(!FUNCTIONS.contains_key(name), "{name}");
        }
    }
}
