//! Judgement: the certificates of the server and their keys. Pure.

use wsmaster_protocol::calendar::Date;

use super::{facts::Facts, finding::Finding};
use crate::tls::{Certificate, Flaw, TlsSummary, Warning};

const CHECK: &str = "certificate";
/// Names of a certificate that are shown.
const NAMES_MAX: usize = 3;

pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    match &facts.tls {
        None => Vec::new(),
        Some(Ok(told)) => usable(told, facts.unix_secs.unwrap_or_default().cast_signed()),
        Some(Err(errors)) => errors.iter().map(|error| unusable(error)).collect(),
    }
}

fn usable(told: &TlsSummary, now_unix_s: i64) -> Vec<Finding> {
    let is_flawed = |certificate: &&Certificate| {
        told.warnings.iter().any(|warning| warning.file == certificate.file)
    };
    let good = told.certificates.iter().filter(|certificate| !is_flawed(certificate));
    let good = good.map(|certificate| {
        let until = Date::from_unix_s(certificate.expires_unix_s);
        let days = certificate.days_left(now_unix_s);
        let meaning = format!("its key belongs to it; valid until {until}, for {days} more days");
        Finding::ok(CHECK, shown(certificate), meaning)
    });
    good.chain(told.warnings.iter().map(flawed)).collect()
}

/// A certificate and whom it is for.
fn shown(certificate: &Certificate) -> String {
    let Certificate { file, names, .. } = certificate;
    let first: Vec<&str> = names.iter().take(NAMES_MAX).map(String::as_str).collect();
    let more = if names.len() > NAMES_MAX { ", ..." } else { "" };
    format!("{file} for {}{more}", first.join(", "))
}

fn flawed(warning: &Warning) -> Finding {
    const RENEWAL: &str = "renew it, then `wsmaster reload --certificates`";
    let Warning { key, file, flaw } = warning;
    let (check, meaning, remedy) = match flaw {
        Flaw::Exposed => (
            "private key",
            "everybody on this machine can read it".to_owned(),
            format!("chmod 600 {file}; a new key, if somebody may have read it"),
        ),
        Flaw::Nameless => (
            CHECK,
            "is for no name (subjectAltName): most clients refuse it".to_owned(),
            format!("a certificate with the names that clients connect to, as {key}"),
        ),
        Flaw::Expired { on } => {
            (CHECK, format!("expired on {on}: clients refuse it"), RENEWAL.to_owned())
        }
        Flaw::Early { from } => (
            CHECK,
            format!("is not valid before {from}: clients refuse it"),
            "the one before it until then, or a clock that is right".to_owned(),
        ),
        Flaw::Ending { on, days } => {
            (CHECK, format!("expires on {on}, in {days} days"), RENEWAL.to_owned())
        }
    };
    Finding::warning(check, file, meaning, remedy)
}

fn unusable(error: &str) -> Finding {
    Finding::problem(
        CHECK,
        error,
        "the start is refused, and so is a reload",
        "files in PEM form that belong together and that whoever starts the server can read; `wsmaster config check` \
         looks at them again",
    )
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, facts::sound},
        *,
    };

    const DAY_S: i64 = 86_400;

    fn told(flaws: &[(&str, Flaw)]) -> TlsSummary {
        let warning = |(file, flaw): &(&str, Flaw)| Warning {
            key: "tls.cert_file".to_owned(),
            file: (*file).to_owned(),
            flaw: flaw.clone(),
        };
        let names = ["a", "b", "c", "d"].map(str::to_owned).to_vec();
        let expires_unix_s = sound().unix_secs.unwrap_or_default().cast_signed() + 90 * DAY_S;
        TlsSummary {
            certificates: vec![Certificate {
                file: "c.pem".to_owned(),
                names,
                expires_unix_s,
                self_issued: false,
            }],
            warnings: flaws.iter().map(warning).collect(),
            fingerprint: [0; 32],
        }
    }

    #[test]
    fn what_is_found_has_a_level_and_a_remedy() {
        let day = || "2027-01-01".to_owned();
        for (flaw, check, remedy) in [
            (Flaw::Exposed, "private key", "chmod 600 c.pem"),
            (Flaw::Nameless, "certificate", "as tls.cert_file"),
            (Flaw::Expired { on: day() }, "certificate", "reload --certificates"),
            (Flaw::Early { from: day() }, "certificate", "clock"),
            (Flaw::Ending { on: day(), days: 3 }, "certificate", "reload --certificates"),
        ] {
            let facts = Facts { tls: Some(Ok(told(&[("c.pem", flaw)]))), ..sound() };
            let [finding] = &examine(&facts)[..] else { panic!("one finding") };
            assert_eq!((finding.check, finding.level), (check, Level::Warning), "{finding:?}");
            assert!(finding.remedy.as_ref().is_some_and(|told| told.contains(remedy)));
        }
    }

    #[test]
    fn a_good_certificate_is_told_with_its_names_and_its_last_day() {
        let facts = Facts { tls: Some(Ok(told(&[("c.key", Flaw::Exposed)]))), ..sound() };
        let [good, exposed] = &examine(&facts)[..] else { panic!("two findings") };
        assert_eq!((good.level, good.found.as_str()), (Level::Ok, "c.pem for a, b, c, ..."));
        assert!(good.meaning.contains("until 2027-04-15, for 90 more days"), "{good:?}");
        assert_eq!(exposed.check, "private key");
    }

    #[test]
    fn each_fault_is_a_problem_and_no_tls_is_none() {
        let errors = vec!["one".to_owned(), "two".to_owned()];
        let findings = examine(&Facts { tls: Some(Err(errors)), ..sound() });
        assert_eq!(findings.iter().map(|it| it.found.as_str()).collect::<Vec<_>>(), ["one", "two"]);
        assert!(findings.iter().all(|finding| finding.level == Level::Problem));
        assert!(examine(&sound()).is_empty());
    }
}
