//! Settings of a process that are written as texts: the mask of its files, its CPUs, its descriptors.
//!
//! Owns how they are spelled. Whether a machine has such CPUs, or allows so many descriptors, is found out at the start.

use std::fmt;

use wsmaster_settings::{Setting, Value, WrongType, optional_text, text};

/// CPUs have numbers below this (`CPU_SETSIZE`, CPU_SET(3)).
const CPUS_MAX: u16 = 1024;

/// The rights of the owner, which a mask may not take: the server could not open its own files again.
const OWNER_BITS: u16 = 0o700;

/// What files lack that processes make (umask(2)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FileMask(u16);

impl FileMask {
    /// Reads `027` or `0027`. Fewer digits could be meant as a decimal number.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let is_octal = text.bytes().all(|byte| (b'0'..=b'7').contains(&byte));
        let is_whole = (3..=4).contains(&text.len());
        let mask = u16::from_str_radix(text, 8).ok().filter(|_| is_octal && is_whole)?;
        (mask <= 0o777 && mask & OWNER_BITS == 0).then_some(Self(mask))
    }

    /// As umask(2) takes it.
    #[must_use]
    pub fn bits(self) -> u32 {
        self.0.into()
    }
}

impl fmt::Display for FileMask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:03o}", self.0)
    }
}

/// The CPUs that workers may run on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CpuAffinity {
    /// Those the server was started with.
    Unchanged,
    /// One for each worker, in turn, of those the server was started with.
    Each,
    /// These, in ascending order, for all workers.
    List(Vec<u16>),
}

impl CpuAffinity {
    /// Reads nothing, `auto`, or a list such as `0-3,6`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        match text {
            "" => Some(Self::Unchanged),
            "auto" => Some(Self::Each),
            _ => {
                let mut cpus = Vec::new();
                for part in text.split(',') {
                    let (first, last) = part.split_once('-').unwrap_or((part, part));
                    let (first, last) = (cpu(first)?, cpu(last)?);
                    if first > last {
                        return None;
                    }
                    cpus.extend(first..=last);
                }
                cpus.sort_unstable();
                cpus.dedup();
                Some(Self::List(cpus))
            }
        }
    }
}

impl fmt::Display for CpuAffinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unchanged => Ok(()),
            Self::Each => f.write_str("auto"),
            Self::List(cpus) => f.write_str(&cpu_list(cpus)),
        }
    }
}

fn cpu(text: &str) -> Option<u16> {
    let number = text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())??;
    (number < CPUS_MAX).then_some(number)
}

/// Numbers in ascending order as a list such as `0-3,6`.
pub(crate) fn cpu_list(cpus: &[u16]) -> String {
    let runs = cpus.chunk_by(|one, next| one + 1 == *next);
    let parts: Vec<String> = runs
        .map(|run| match run {
            [first, .., last] => format!("{first}-{last}"),
            _ => run.iter().map(ToString::to_string).collect(),
        })
        .collect();
    parts.join(",")
}

/// How many descriptors a process may open.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DescriptorLimit {
    /// As many as the hard limit says that the server was started with.
    Hard,
    /// So many.
    Number(u64),
}

/// For the rules of the table.
pub(crate) fn is_file_mask(text: &str) -> bool {
    text.is_empty() || FileMask::parse(text).is_some()
}

/// For the rules of the table.
pub(crate) fn is_cpu_affinity(text: &str) -> bool {
    CpuAffinity::parse(text).is_some()
}

text! {
    FileMask: Self::to_string, |text| FileMask::parse(text);
    CpuAffinity: Self::to_string, |text| CpuAffinity::parse(text);
}
optional_text!(FileMask);

impl Setting for DescriptorLimit {
    fn value(&self) -> Value {
        match self {
            Self::Hard => Value::Automatic,
            Self::Number(number) => Value::Number(*number),
        }
    }

    fn of_value(value: &Value) -> Result<Self, WrongType> {
        match value {
            Value::Automatic => Ok(Self::Hard),
            Value::Number(number) => Ok(Self::Number(*number)),
            _ => Err(WrongType),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        for (text, bits, back) in [("027", 0o027, "027"), ("0022", 0o22, "022"), ("000", 0, "000")]
        {
            let mask = FileMask::parse(text).expect(text);
            assert_eq!((mask.bits(), mask.to_string().as_str()), (bits, back));
        }
        for wrong in ["8", "-1", "27", "0", "0o27", "1000", "777", "100", "00027", "+27", " 27"] {
            assert!(!is_file_mask(wrong), "{wrong}");
        }
    }

    #[test]
    fn lists_of_cpus() {
        for (text, cpus, back) in [
            ("0", vec![0], "0"),
            ("0-3,6", vec![0, 1, 2, 3, 6], "0-3,6"),
            ("6,0-1,1-2", vec![0, 1, 2, 6], "0-2,6"),
            ("1023", vec![1023], "1023"),
            ("4,5", vec![4, 5], "4-5"),
        ] {
            let affinity = CpuAffinity::parse(text).expect(text);
            assert_eq!(affinity, CpuAffinity::List(cpus), "{text}");
            assert_eq!(affinity.to_string(), back);
        }
        for wrong in ["1024", "3-1", "a", "0-", "-1", "0,", ",", "0 1", "+1", "0--1", "all"] {
            assert!(!is_cpu_affinity(wrong), "{wrong}");
        }
        assert_eq!(CpuAffinity::parse(""), Some(CpuAffinity::Unchanged));
        assert_eq!(CpuAffinity::Each.to_string(), "auto");
    }
}
