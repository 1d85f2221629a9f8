//! The facts of a certificate that are for people: until when it is valid, whose it is, and whether somebody else vouches for
//! it (RFC 5280, 4.1). Pure.
//!
//! What decides about trust is webpki's. This reads nothing that it has not bounded, and answers `None` to whatever is
//! not as it should be.

use wsmaster_protocol::calendar::{DAY_S, Date};

use super::Validity;

const EXPLICIT_VERSION: u8 = 0xa0;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;

/// A subject is shown up to this length.
const SUBJECT_BYTES_MAX: usize = 1024;

/// Attributes of names with a short name of their own (RFC 4514, 3).
const ATTRIBUTES: [(&[u8], &str); 9] = [
    (&[0x55, 0x04, 0x03], "CN"),
    (&[0x55, 0x04, 0x06], "C"),
    (&[0x55, 0x04, 0x07], "L"),
    (&[0x55, 0x04, 0x08], "ST"),
    (&[0x55, 0x04, 0x09], "STREET"),
    (&[0x55, 0x04, 0x0a], "O"),
    (&[0x55, 0x04, 0x0b], "OU"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01], "UID"),
    (&[0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19], "DC"),
];

/// The elements of a DER value, one after the other.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// The next element: its tag and its content.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&tag, rest) = self.0.split_first()?;
        let (&first, mut rest) = rest.split_first()?;
        let length = match first {
            0..=0x7f => usize::from(first),
            0x81..=0x83 => {
                let (bytes, after) = rest.split_at_checked(usize::from(first & 0x7f))?;
                rest = after;
                bytes.iter().fold(0, |length, byte| length << 8 | usize::from(*byte))
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    /// The content of the next element, if it has this tag.
    fn take(&mut self, expected: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == expected).map(|(_, content)| content)
    }

    fn enter(&mut self, expected: u8) -> Option<Self> {
        self.take(expected).map(Self)
    }
}

/// What stands in a certificate from its issuer on: the rest of `TBSCertificate`.
fn from_issuer(certificate: &[u8]) -> Option<Reader<'_>> {
    let mut body = Reader(certificate).enter(SEQUENCE)?.enter(SEQUENCE)?;
    let (tag, _) = body.clone().next()?;
    if tag == EXPLICIT_VERSION {
        body.next()?;
    }
    body.take(INTEGER)?;
    body.take(SEQUENCE)?;
    Some(body)
}

/// From when until when a certificate is valid.
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut body = from_issuer(certificate)?;
    body.take(SEQUENCE)?;
    let mut dates = body.enter(SEQUENCE)?;
    let (from, until) = (dates.next()?, dates.next()?);
    Some(Validity { from_unix_s: time(from)?, until_unix_s: time(until)? })
}

/// Whether it names itself as its issuer, as one does that nobody else vouches for.
pub fn is_self_issued(certificate: &[u8]) -> Option<bool> {
    let mut body = from_issuer(certificate)?;
    let issuer = body.take(SEQUENCE)?;
    body.take(SEQUENCE)?;
    Some(body.take(SEQUENCE)? == issuer)
}

/// Whose certificate it is, as RFC 4514 writes names: `CN=sensor 7,O=Example`.
pub fn subject(certificate: &[u8]) -> Option<String> {
    let mut body = from_issuer(certificate)?;
    body.take(SEQUENCE)?;
    body.take(SEQUENCE)?;
    let mut name = body.enter(SEQUENCE)?;
    let mut parts = Vec::new();
    let mut length = 0;
    while !name.0.is_empty() {
        let mut set = name.enter(SET)?;
        let mut together = Vec::new();
        while !set.0.is_empty() {
            let mut attribute = set.enter(SEQUENCE)?;
            let kind = attribute.take(OBJECT_IDENTIFIER)?;
            let (_, value) = attribute.next()?;
            let part = format!("{}={}", attribute_name(kind), escape(value));
            length += part.len() + 1;
            if length > SUBJECT_BYTES_MAX {
                return None;
            }
            together.push(part);
        }
        parts.push(together.join("+"));
    }
    // The most significant part comes first in the certificate, and last in the text (RFC 4514, 2.1).
    parts.reverse();
    Some(parts.join(","))
}

fn attribute_name(kind: &[u8]) -> String {
    if let Some((_, name)) = ATTRIBUTES.iter().find(|(known, _)| *known == kind) {
        return (*name).to_owned();
    }
    // Each number in groups of seven bits; the first number holds two (X.690, 8.19).
    let mut numbers: Vec<u64> = Vec::new();
    let mut number: u64 = 0;
    for byte in kind {
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            if numbers.is_empty() {
                let first = (number / 40).min(2);
                numbers.extend([first, number - first * 40]);
            } else {
                numbers.push(number);
            }
            number = 0;
        }
    }
    numbers.iter().map(u64::to_string).collect::<Vec<_>>().join(".")
}

/// A value with what would be taken for a separator escaped, and without what a terminal would obey (RFC 4514, 2.4).
fn escape(value: &[u8]) -> String {
    let text = String::from_utf8_lossy(value);
    let mut escaped = String::with_capacity(text.len());
    for (at, character) in text.chars().enumerate() {
        let at_edge = at == 0 || at + 1 == text.chars().count();
        match character {
            '"' | '+' | ',' | ';' | '<' | '>' | '\\' => escaped.extend(['\\', character]),
            ' ' if at_edge => escaped.push_str("\\ "),
            '#' if at == 0 => escaped.push_str("\\#"),
            other if other.is_control() => {
                let mut bytes = [0; 4];
                for byte in other.encode_utf8(&mut bytes).bytes() {
                    escaped.push_str(&format!("\\{byte:02x}"));
                }
            }
            other => escaped.push(other),
        }
    }
    escaped
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ` as seconds since 1970 (RFC 5280, 4.1.2.5).
fn time((tag, text): (u8, &[u8])) -> Option<i64> {
    let digits = text.strip_suffix(b"Z")?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = digits.split_at_checked(4)?;
            (number(year)?, rest)
        }
        _ => return None,
    };
    if rest.len() != 10 {
        return None;
    }
    let mut fields = rest.chunks(2).map(number);
    let mut field = |range: std::ops::RangeInclusive<i64>| {
        fields.next().flatten().filter(|number| range.contains(number))
    };
    let (month, day) = (field(1..=12)? as u8, field(1..=31)? as u8);
    let (hour, minute, second) = (field(0..=23)?, field(0..=59)?, field(0..=60)?);
    let days = Date { year, month, day }.days_since_1970();
    Some(days * DAY_S + hour * 3600 + minute * 60 + second)
}

fn number(digits: &[u8]) -> Option<i64> {
    digits.iter().try_fold(0, |number, digit| {
        digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn moments() {
        for (tag, text, expected) in [
            (UTC_TIME, "700101000000Z", Some(0)),
            (UTC_TIME, "491231235959Z", Some(2_524_607_999)),
            (UTC_TIME, "500101000000Z", Some(-631_152_000)),
            (GENERALIZED_TIME, "20000229120000Z", Some(951_825_600)),
            (GENERALIZED_TIME, "20501231235959Z", Some(2_556_143_999)),
            (GENERALIZED_TIME, "99991231235959Z", Some(253_402_300_799)),
            (UTC_TIME, "701301000000Z", None),
            (UTC_TIME, "7001010000Z", None),
            (UTC_TIME, "70010100000aZ", None),
            (UTC_TIME, "700101000000+0100", None),
            (SEQUENCE, "700101000000Z", None),
        ] {
            assert_eq!(time((tag, text.as_bytes())), expected, "{text}");
        }
    }

    #[test]
    fn names_are_written_as_rfc_4514_has_them() {
        for (value, expected) in [
            ("plain", "plain"),
            ("a,b+c", "a\\,b\\+c"),
            (" x ", "\\ x\\ "),
            ("#1", "\\#1"),
            ("\x1b[31m", "\\1b[31m"),
        ] {
            assert_eq!(escape(value.as_bytes()), expected);
        }
        assert_eq!(attribute_name(&[0x55, 0x04, 0x03]), "CN");
        assert_eq!(
            attribute_name(&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01]),
            "1.2.840.113549.1.9.1"
        );
    }

    proptest! {
        #[test]
        fn whatever_it_is_nothing_panics(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = (validity(&bytes), subject(&bytes));
        }
    }
}
