//! The facts of a certificate that are for people: until when it is valid, whose it is, and whether somebody else vouches for
//! it (RFC 5280, 4.1). Pure.
//!
//! What decides about trust is webpki's. DER is read by the crate `der`; only what is needed is looked at, so whatever webpki
//! takes for a certificate is read here too. The answer is `None` to whatever is not as it should be.

use der::{
    Decode, Reader, SliceReader, Tag, Tagged,
    asn1::{AnyRef, ObjectIdentifier},
};
use wsmaster_protocol::calendar::{DAY_S, Date};

/// A subject is shown up to this length.
const SUBJECT_BYTES_MAX: usize = 1024;

/// Attributes of names with a short name of their own (RFC 4514, 3).
const ATTRIBUTES: [(ObjectIdentifier, &str); 9] = [
    (ObjectIdentifier::new_unwrap("2.5.4.3"), "CN"),
    (ObjectIdentifier::new_unwrap("2.5.4.6"), "C"),
    (ObjectIdentifier::new_unwrap("2.5.4.7"), "L"),
    (ObjectIdentifier::new_unwrap("2.5.4.8"), "ST"),
    (ObjectIdentifier::new_unwrap("2.5.4.9"), "STREET"),
    (ObjectIdentifier::new_unwrap("2.5.4.10"), "O"),
    (ObjectIdentifier::new_unwrap("2.5.4.11"), "OU"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.1"), "UID"),
    (ObjectIdentifier::new_unwrap("0.9.2342.19200300.100.1.25"), "DC"),
];

/// From when until when a certificate is valid, in seconds since 1970.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Validity {
    /// The first moment.
    pub from_unix_s: i64,
    /// The last moment.
    pub until_unix_s: i64,
}

impl Validity {
    /// Whole days from `now_unix_s` to the end; negative when it is over.
    pub fn days_left(&self, now_unix_s: i64) -> i64 {
        (self.until_unix_s - now_unix_s).div_euclid(DAY_S)
    }

    /// The day of the first moment, in UTC: `2026-11-20`.
    pub fn from_date(&self) -> String {
        Date::from_unix_s(self.from_unix_s).to_string()
    }

    /// The day of the last moment, in UTC.
    pub fn until_date(&self) -> String {
        Date::from_unix_s(self.until_unix_s).to_string()
    }
}

/// What is inside the next element, if it has this tag.
fn enter<'a>(reader: &mut SliceReader<'a>, expected: Tag) -> Option<SliceReader<'a>> {
    SliceReader::new(take(reader, expected)?).ok()
}

/// The content of the next element, if it has this tag.
fn take<'a>(reader: &mut SliceReader<'a>, expected: Tag) -> Option<&'a [u8]> {
    let element = AnyRef::decode(reader).ok()?;
    (element.tag() == expected).then(|| element.value())
}

/// What stands in a certificate from its issuer on: the rest of `TBSCertificate`.
fn from_issuer(certificate: &[u8]) -> Option<SliceReader<'_>> {
    let mut outer = SliceReader::new(certificate).ok()?;
    let mut body = enter(&mut enter(&mut outer, Tag::Sequence)?, Tag::Sequence)?;
    if Tag::peek(&body).ok()?.is_context_specific() {
        // The version.
        AnyRef::decode(&mut body).ok()?;
    }
    take(&mut body, Tag::Integer)?;
    take(&mut body, Tag::Sequence)?;
    Some(body)
}

/// From when until when a certificate is valid.
pub fn validity(certificate: &[u8]) -> Option<Validity> {
    let mut body = from_issuer(certificate)?;
    take(&mut body, Tag::Sequence)?;
    let mut dates = enter(&mut body, Tag::Sequence)?;
    let mut date = || time(AnyRef::decode(&mut dates).ok()?);
    Some(Validity { from_unix_s: date()?, until_unix_s: date()? })
}

/// Whether it names itself as its issuer, as one does that nobody else vouches for.
pub fn is_self_issued(certificate: &[u8]) -> Option<bool> {
    let mut body = from_issuer(certificate)?;
    let issuer = take(&mut body, Tag::Sequence)?;
    take(&mut body, Tag::Sequence)?;
    Some(take(&mut body, Tag::Sequence)? == issuer)
}

/// Whose certificate it is, as RFC 4514 writes names: `CN=sensor 7,O=Example`.
pub fn subject(certificate: &[u8]) -> Option<String> {
    let mut body = from_issuer(certificate)?;
    take(&mut body, Tag::Sequence)?;
    take(&mut body, Tag::Sequence)?;
    let mut name = enter(&mut body, Tag::Sequence)?;
    let mut parts = Vec::new();
    let mut length = 0;
    while !name.is_finished() {
        let mut set = enter(&mut name, Tag::Set)?;
        let mut together = Vec::new();
        while !set.is_finished() {
            let mut attribute = enter(&mut set, Tag::Sequence)?;
            let kind = ObjectIdentifier::decode(&mut attribute).ok()?;
            let value = AnyRef::decode(&mut attribute).ok()?;
            let part = format!("{}={}", attribute_name(kind), escape(value.value()));
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

fn attribute_name(kind: ObjectIdentifier) -> String {
    let known = ATTRIBUTES.iter().find(|(known, _)| *known == kind);
    known.map_or_else(|| kind.to_string(), |(_, name)| (*name).to_owned())
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
fn time(moment: AnyRef<'_>) -> Option<i64> {
    let digits = moment.value().strip_suffix(b"Z")?;
    let (year, rest) = match moment.tag() {
        Tag::UtcTime => {
            let (year, rest) = digits.split_at_checked(2)?;
            let year = number(year)?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        Tag::GeneralizedTime => {
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
            (Tag::UtcTime, "700101000000Z", Some(0)),
            (Tag::UtcTime, "491231235959Z", Some(2_524_607_999)),
            (Tag::UtcTime, "500101000000Z", Some(-631_152_000)),
            (Tag::GeneralizedTime, "20000229120000Z", Some(951_825_600)),
            (Tag::GeneralizedTime, "20501231235959Z", Some(2_556_143_999)),
            (Tag::GeneralizedTime, "99991231235959Z", Some(253_402_300_799)),
            (Tag::UtcTime, "701301000000Z", None),
            (Tag::UtcTime, "7001010000Z", None),
            (Tag::UtcTime, "70010100000aZ", None),
            (Tag::UtcTime, "700101000000+0100", None),
            (Tag::Sequence, "700101000000Z", None),
        ] {
            let moment = AnyRef::new(tag, text.as_bytes()).unwrap();
            assert_eq!(time(moment), expected, "{text}");
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
        let attribute_name =
            |bytes: &[u8]| attribute_name(ObjectIdentifier::from_bytes(bytes).unwrap());
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
