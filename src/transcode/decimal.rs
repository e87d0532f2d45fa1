//! JSON numbers by their digits: compared and read without passing through a double.

/// A decimal number: equal to another when the numbers are, however they are written.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    negative: bool,
    /// Significant digits, without zeros at either end; empty for zero.
    digits: String,
    /// The number is 0.digits times ten to this power.
    exponent: i64,
}

impl Decimal {
    /// Reads JSON's number grammar (RFC 8259 section 6); `None` for anything else, and
    /// for an exponent that no number in use has.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, text) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (mantissa, exponent) = match text.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, parse_exponent(exponent)?),
            None => (text, 0),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(parts) => parts,
            None => (mantissa, ""),
        };
        if whole.is_empty() || (whole.len() > 1 && whole.starts_with('0')) {
            return None;
        }
        let all = [whole, fraction].concat();
        if !all.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let significant = all.trim_start_matches('0');
        let leading_zeros = i64::try_from(all.len() - significant.len()).ok()?;
        let digits = significant.trim_end_matches('0').to_owned();
        if digits.is_empty() {
            return Some(Self { negative: false, digits, exponent: 0 });
        }
        let point = i64::try_from(whole.len()).ok()?;
        Some(Self { negative, digits, exponent: point - leading_zeros + i64::from(exponent) })
    }

    /// The number in plain digits, if it is whole and has at most 20 of them.
    pub(super) fn integer_text(&self) -> Option<String> {
        if self.digits.is_empty() {
            return Some("0".to_owned());
        }
        let length = usize::try_from(self.exponent).ok().filter(|length| *length <= 20)?;
        let zeros = length.checked_sub(self.digits.len())?;
        let sign = if self.negative { "-" } else { "" };
        Some(format!("{sign}{}{}", self.digits, "0".repeat(zeros)))
    }
}

fn parse_exponent(text: &str) -> Option<i32> {
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let is_digits = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    is_digits.then(|| text.parse().ok())?
}

/// Whether `text` is a number in JSON's grammar, with nothing around it.
pub(super) fn is_json_number(text: &str) -> bool {
    let text = text.strip_prefix('-').unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    is_digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(is_digits)
        && exponent.is_none_or(|text| is_digits(text.strip_prefix(['+', '-']).unwrap_or(text)))
}

/// The double that a JSON number's text names, if its own text names the same number.
pub(super) fn exact_double(json: &str) -> Option<f64> {
    let value: f64 = json.parse().ok().filter(|value: &f64| value.is_finite())?;
    // Every number of at most 15 digits survives the way through a double (IEEE 754).
    let is_short = json.len() <= 15 && !json.contains(['e', 'E']);
    if is_short {
        return Some(value);
    }
    // Two texts of the same length may be as close to a double: either names it.
    let number = Decimal::parse(json)?;
    let names = |text: &str| Decimal::parse(text).as_ref() == Some(&number);
    let is_exact = names(&format!("{value:e}"))
        || serde_json::to_string(&value).is_ok_and(|text| names(&text));
    is_exact.then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_equal_however_they_are_written() {
        for (a, b) in
            [("1", "1.0"), ("10", "1e1"), ("0.1", "1E-1"), ("-0", "0.000"), ("1200e-2", "1.2e+1")]
        {
            assert_eq!(Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap(), "{a} {b}");
        }
        for (a, b) in [("1", "-1"), ("1", "10"), ("0.1", "0.11"), ("1e-400", "0")] {
            assert_ne!(Decimal::parse(a).unwrap(), Decimal::parse(b).unwrap(), "{a} {b}");
        }
    }

    /// S13
    #[test]
    fn only_the_grammar_of_json_is_a_number() {
        for text in ["0", "-0", "12", "0.5", "1e5", "1E+5", "-1.25e-7", "10000000000000000000000"] {
            assert!(is_json_number(text) && Decimal::parse(text).is_some(), "{text}");
        }
        for text in [
            "", "-", "+1", "01", "-01", ".5", "5.", "1.e5", "1e", "1e+", "1e5.0", "0x1", " 1",
            "1 ", "NaN", "inf", "1_0", "--1", "1.2.3", "٣",
        ] {
            assert!(!is_json_number(text) && Decimal::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_double_holds_a_number_when_their_texts_name_the_same() {
        for text in ["0.1", "12.10", "9007199254740992", "1e300", "123456789012345.5"] {
            assert!(exact_double(text).is_some(), "{text}");
        }
        for text in [
            "9007199254740993",
            "0.1000000000000000055511151231257827",
            "1e400",
            "1e-400",
            "1e99999999999",
        ] {
            assert!(exact_double(text).is_none(), "{text}");
        }
    }
}
