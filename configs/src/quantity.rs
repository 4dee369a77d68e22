//! Quantities as Kubernetes writes them: `20Gi`, `500m`, `1e3`.

/// A quantity in billionths of its unit, so that `1` and `1000m` are the same. `None` = the text is none, or is too large to be told
/// exactly.
#[must_use]
pub fn nanos(text: &str) -> Option<i128> {
    let end = text.bytes().position(|b| !(b.is_ascii_digit() || matches!(b, b'.' | b'+' | b'-'))).unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let (sign, whole) = match whole.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, whole.strip_prefix('+').unwrap_or(whole)),
    };
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if (whole.is_empty() && fraction.is_empty()) || !digits(whole) || !digits(fraction) || fraction.len() > 9 {
        return None;
    }
    let parse = |text: &str| if text.is_empty() { Some(0) } else { text.parse::<i128>().ok() };
    let billionths = format!("{fraction:0<9}");
    let number = parse(whole)?.checked_mul(NANO)?.checked_add(parse(&billionths)?)?.checked_mul(sign)?;
    let ten = |power: u32| 10i128.checked_pow(power);
    let (times, by) = match suffix {
        "" => (1, 1),
        "n" => (1, NANO),
        "u" => (1, 1_000_000),
        "m" => (1, 1000),
        "k" => (ten(3)?, 1),
        "M" => (ten(6)?, 1),
        "G" => (ten(9)?, 1),
        "T" => (ten(12)?, 1),
        "P" => (ten(15)?, 1),
        "E" => (ten(18)?, 1),
        "Ki" => (1 << 10, 1),
        "Mi" => (1 << 20, 1),
        "Gi" => (1 << 30, 1),
        "Ti" => (1 << 40, 1),
        "Pi" => (1 << 50, 1),
        "Ei" => (1 << 60, 1),
        exponent => match exponent.strip_prefix(['e', 'E'])?.parse::<i32>().ok()? {
            power @ 0..=18 => (ten(power.unsigned_abs())?, 1),
            power @ -9..0 => (1, ten(power.unsigned_abs())?),
            _ => return None,
        },
    };
    let exact = number.checked_mul(times)?;
    (exact % by == 0).then_some(exact / by)
}

/// A quantity of whole units that is not negative: bytes, of memory or disk.
#[must_use]
pub fn whole(text: &str) -> Option<u64> {
    let nanos = nanos(text)?;
    if nanos % NANO == 0 { u64::try_from(nanos / NANO).ok() } else { None }
}

const NANO: i128 = 1_000_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quantity_is_the_same_in_other_words() {
        for (a, b) in
            [("1", "1000m"), ("1024Mi", "1Gi"), ("0.5", "500m"), ("1e3", "1k"), ("2Gi", "2147483648"), ("1.5Gi", "1536Mi"), ("+1", "1")]
        {
            assert!(nanos(a).is_some() && nanos(a) == nanos(b), "{a} {b}");
        }
        assert_ne!(nanos("1G"), nanos("1Gi"));
        assert_eq!((whole("20Gi"), whole("100m"), whole("-1")), (Some(20 << 30), None, None));
    }

    #[test]
    fn what_is_no_quantity_is_told() {
        for text in ["", "Gi", "1 Gi", "1GiB", "one", "1.2.3", "1-", "0x10", "1e", "1e99", "99999999999999999999999999999999E"] {
            assert_eq!(nanos(text), None, "{text}");
        }
    }
}
