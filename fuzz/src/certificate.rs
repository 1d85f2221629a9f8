//! Certificates, from PEM down to the facts that are shown of them: whatever the bytes, an answer is short and harmless
//! to a terminal, what webpki takes for a certificate is one for us too, and what is written by the standard is read as it
//! was meant.

use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use wsmaster_workers::tls::{
    CertificateFault, CredentialsFault, Pair, TlsCredentials, Version, x509,
};

/// The longest subject that is shown.
const SUBJECT_BYTES_MAX: usize = 1024;
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const INTEGER: u8 = 0x02;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Of [`certificate`], with the text that stands for them (RFC 4514, 3; an unknown one as in RFC 4512, 1.4).
const ATTRIBUTES: [(&[u8], &str); 3] =
    [(&[0x55, 4, 3], "CN"), (&[0x55, 4, 10], "O"), (&[0x2a, 0x86, 0x48, 3], "1.2.840.3")];

/// See the module.
pub fn run(data: &[u8]) {
    check_facts(data);
    check_pem(data);
    check_written(data);
}

fn check_facts(data: &[u8]) {
    let (subject, validity) = (x509::subject(data), x509::validity(data));
    if let Some(subject) = &subject {
        assert!(subject.len() <= SUBJECT_BYTES_MAX);
        assert!(!subject.contains(char::is_control), "{subject:?}");
    }
    if let Some(validity) = validity {
        assert_eq!(validity.until_date().len(), "2026-11-20".len());
        let _ = (validity.from_date(), validity.days_left(1_800_000_000));
    }
    if subject.is_some() || validity.is_some() {
        let followed = [data, b"\x30\x00"].concat();
        assert_eq!(x509::is_self_issued(&followed), x509::is_self_issued(data));
        assert_eq!((x509::subject(&followed), x509::validity(&followed)), (subject, validity));
    }
}

/// The input as PEM, and as what is inside.
fn check_pem(data: &[u8]) {
    let credentials = |chain: String, key: &str| TlsCredentials {
        pairs: vec![Pair { chain, key: key.to_owned() }],
        clients: None,
        version_min: Version::Tls12,
    };
    if let Ok(text) = str::from_utf8(data)
        && let Err(fault) = credentials(text.to_owned(), text).check()
    {
        check_fault(&fault);
    }
    let inside = BASE64.encode(data);
    let pem = format!("-----BEGIN CERTIFICATE-----\n{inside}\n-----END CERTIFICATE-----\n");
    match credentials(pem, "").check() {
        // The key is looked at when the certificate is understood.
        Err(CredentialsFault::Pair { place: 0, fault: CertificateFault::NoKey }) => {
            assert!(x509::validity(data).is_some());
        }
        Err(fault) => check_fault(&fault),
        Ok(_) => panic!("without a key"),
    }
}

/// A person reads it, and it holds nothing of the input.
fn check_fault(fault: &CredentialsFault) {
    let told = fault.to_string();
    assert!((10..120).contains(&told.len()) && told.is_ascii(), "{told:?}");
}

/// Takes the input for the facts, and writes a certificate of it.
fn check_written(data: &[u8]) {
    let Some((dates, names)) = data.split_first_chunk::<8>() else { return };
    let [from, until] = [&dates[..4], &dates[4..]]
        .map(|bytes| bytes.iter().fold(0, |seconds, byte| seconds << 8 | i64::from(*byte)));
    let parts: Vec<(usize, &[u8])> = names
        .split(|byte| *byte == b'\n')
        .filter_map(|part| part.split_first())
        .map(|(kind, value)| (usize::from(*kind) % ATTRIBUTES.len(), value))
        .take(8)
        .collect();
    let bytes = certificate(from, until, &parts);
    let validity = x509::validity(&bytes).expect("a certificate");
    assert_eq!((validity.from_unix_s, validity.until_unix_s), (from, until));
    assert!(x509::validity(&bytes[..bytes.len() - 1]).is_none(), "cut off");
    assert_eq!(x509::is_self_issued(&bytes), Some(parts.is_empty()), "its issuer has no name");
    match x509::subject(&bytes) {
        Some(subject) => {
            let mut expected: Vec<(String, String)> = parts
                .iter()
                .map(|(kind, value)| {
                    (ATTRIBUTES[*kind].1.to_owned(), String::from_utf8_lossy(value).into_owned())
                })
                .collect();
            expected.reverse();
            assert_eq!(read_name(&subject), expected, "{subject}");
        }
        None => assert!(names.len() > SUBJECT_BYTES_MAX / 4, "a subject that is not shown"),
    }
}

/// As much of a certificate as is read (RFC 5280, 4.1).
fn certificate(from: i64, until: i64, parts: &[(usize, &[u8])]) -> Vec<u8> {
    let name: Vec<u8> = parts
        .iter()
        .flat_map(|(kind, value)| {
            let kind = element(OBJECT_IDENTIFIER, ATTRIBUTES[*kind].0);
            let attribute = [kind, element(UTF8_STRING, value)].concat();
            element(SET, &element(SEQUENCE, &attribute))
        })
        .collect();
    let body = [
        element(0xa0, &element(INTEGER, &[2])),
        element(INTEGER, &[1]),
        element(SEQUENCE, b""),
        element(SEQUENCE, b""),
        element(SEQUENCE, &[time(from), time(until)].concat()),
        element(SEQUENCE, &name),
    ];
    element(SEQUENCE, &element(SEQUENCE, &body.concat()))
}

fn element(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let length = match length {
        0..=0x7f => vec![length as u8],
        0x80..=0xff => vec![0x81, length as u8],
        _ => vec![0x82, (length >> 8) as u8, length as u8],
    };
    [&[tag], &length[..], content].concat()
}

/// Year by year and month by month, as one would count on fingers.
fn time(unix_s: i64) -> Vec<u8> {
    let (mut days, seconds) = (unix_s / 86_400, unix_s % 86_400);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let mut year = 1970;
    while days >= 365 + i64::from(is_leap(year)) {
        days -= 365 + i64::from(is_leap(year));
        year += 1;
    }
    let february = 28 + i64::from(is_leap(year));
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30] {
        if days < length {
            break;
        }
        days -= length;
        month += 1;
    }
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let rest = format!("{month:02}{:02}{hour:02}{minute:02}{second:02}Z", days + 1);
    if year < 2050 {
        element(UTC_TIME, format!("{:02}{rest}", year % 100).as_bytes())
    } else {
        element(GENERALIZED_TIME, format!("{year}{rest}").as_bytes())
    }
}

/// Reads a name as RFC 4514 writes it, section 3: types and values, with what was escaped.
fn read_name(text: &str) -> Vec<(String, String)> {
    let mut parts = Vec::new();
    let (mut kind, mut value, mut in_value) = (String::new(), Vec::new(), false);
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        match byte {
            b'=' if !in_value => in_value = true,
            b',' => {
                parts.push((std::mem::take(&mut kind), std::mem::take(&mut value)));
                in_value = false;
            }
            _ if !in_value => kind.push(byte.into()),
            b'\\' => {
                let next = bytes.next().expect("something is escaped");
                value.push(match (next, char::from(next).to_digit(16)) {
                    (_, Some(high)) => {
                        let low = bytes.next().map(char::from).and_then(|low| low.to_digit(16));
                        (high * 16 + low.expect("two digits")) as u8
                    }
                    (other, None) => other,
                });
            }
            other => value.push(other),
        }
    }
    if in_value {
        parts.push((kind, value));
    }
    let text = |value| String::from_utf8(value).expect("a name is text");
    parts.into_iter().map(|(kind, value)| (kind, text(value))).collect()
}
