//! Judgement: the kernel and its clock. Pure.

use wsmaster_protocol::calendar::Date;

use super::{facts::Facts, finding::Finding, parsing};

/// close_range(2), the newest call that the server cannot do without.
const KERNEL_MIN: (u32, u32) = (5, 9);
/// 2026-01-01, in seconds since 1970: no clock that is right is before it.
const UNIX_SECS_MIN: u64 = 1_767_225_600;

pub(super) fn examine(facts: &Facts) -> Vec<Finding> {
    [kernel(facts), clock(facts)].into_iter().flatten().collect()
}

fn kernel(facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "kernel";
    let release = facts.kernel.as_ref()?;
    let (major, minor) = KERNEL_MIN;
    Some(match parsing::kernel_version(release) {
        Some(version) if version < KERNEL_MIN => Finding::problem(
            CHECK,
            release,
            format!("older than {major}.{minor}: calls that the server needs are missing"),
            "a newer kernel",
        ),
        Some(_) => Finding::ok(CHECK, release, format!("{major}.{minor} or newer is needed")),
        None => Finding::warning(
            CHECK,
            release,
            "is no version that is understood",
            format!("make sure that it is {major}.{minor} or newer"),
        ),
    })
}

fn clock(facts: &Facts) -> Option<Finding> {
    const CHECK: &str = "clock";
    let now = facts.unix_secs?;
    let found = Date::from_unix_s(now.cast_signed()).to_string();
    let why = "ids of connections are taken from the clock, and must never come again";
    Some(if now < UNIX_SECS_MIN {
        Finding::problem(
            CHECK,
            found,
            format!("the clock is in the past; {why}"),
            "timedatectl set-ntp true, or `date -s` with the right time",
        )
    } else {
        match facts.clock_is_synchronised {
            Some(true) => Finding::ok(CHECK, found, "something keeps it right"),
            None => Finding::ok(
                CHECK,
                found,
                "plausible; whether it is kept right cannot be asked here",
            ),
            Some(false) => Finding::warning(
                CHECK,
                found,
                format!("nothing keeps it right; {why}"),
                "timedatectl set-ntp true, or install chrony",
            ),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Level, facts::sound},
        *,
    };

    #[test]
    fn the_readme_says_the_same_of_the_kernel() {
        let (major, minor) = KERNEL_MIN;
        let sentence = format!("You need Linux ({major}.{minor} or newer)");
        assert!(include_str!("../../../README.md").contains(&sentence), "{sentence}");
    }

    #[test]
    fn kernels_and_clocks() {
        type Case = (fn(&mut Facts), &'static str, Level);
        let cases: &[Case] = &[
            (|f| f.kernel = Some("5.9.0".to_owned()), "kernel", Level::Ok),
            (|f| f.kernel = Some("5.8.18-100".to_owned()), "kernel", Level::Problem),
            (|f| f.kernel = Some("4.19.0-25-amd64".to_owned()), "kernel", Level::Problem),
            (|f| f.kernel = Some("10.0".to_owned()), "kernel", Level::Ok),
            (|f| f.kernel = Some("unknown".to_owned()), "kernel", Level::Warning),
            (|f| f.unix_secs = Some(1_000), "clock", Level::Problem),
            (|f| f.clock_is_synchronised = Some(false), "clock", Level::Warning),
            (|f| f.clock_is_synchronised = None, "clock", Level::Ok),
        ];
        for (change, check, level) in cases {
            let mut facts = sound();
            change(&mut facts);
            let findings = examine(&facts);
            let finding = findings.iter().find(|finding| finding.check == *check).expect(check);
            assert_eq!(finding.level, *level, "{finding:?}");
        }
    }
}
