//! How a value of the table reaches its field, and back.
//!
//! Owns the conversion between the few kinds of values and the Rust types of the settings. What is
//! valid was decided before: a conversion that does not fit is a mistake in the table of keys.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use wsmaster_protocol::origin::AllowedOrigins;
use wsmaster_protocol::plugin::EventKind;
use wsmaster_protocol::proxy::trust::Trust;
use wsmaster_protocol::subprotocols::Subprotocols;

use super::Config;
use super::address::ListenAddress;
use super::listener::{Door, ListenerProtocol, Mode};
use super::process::Restart;
use super::secret::Secret;
use super::settings::{
    App, ClientAuth, DrainCloseCode, ForwardedHeader, LogLevel, RatePolicy, SlowClient, Takeover,
    TlsVersion,
};
use super::surroundings::{CpuAffinity, DescriptorLimit, FileMask};
use super::value::Value;
use super::words::{named, word};

/// The two ways to the field of a key in `T`.
#[derive(Debug)]
pub(super) struct Access<T = Config> {
    pub(super) read: fn(&T) -> Value,
    pub(super) write: fn(&mut T, &Value) -> Result<(), Unfit>,
}

/// A value of a kind its field cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// The access to one field, `field!(server.port)` of the configuration or `field!(name)` of a process.
macro_rules! field {
    ($($name:ident).+) => {
        $crate::config::access::Access {
            read: |config| $crate::config::access::Setting::value(&config.$($name).+),
            write: |config, value| {
                $crate::config::access::Setting::take(&mut config.$($name).+, value)
            },
        }
    };
}
pub(super) use field;

/// A type that a field of the settings can have.
pub(super) trait Setting {
    /// The value that [`Setting::take`] turns into the same setting.
    fn value(&self) -> Value;
    /// Takes a value over.
    fn take(&mut self, value: &Value) -> Result<(), Unfit>;
}

impl Setting for bool {
    fn value(&self) -> Value {
        Value::Flag(*self)
    }

    fn take(&mut self, value: &Value) -> Result<(), Unfit> {
        let Value::Flag(flag) = value else { return Err(Unfit) };
        *self = *flag;
        Ok(())
    }
}

/// Whole numbers of any width; the range of the key keeps them inside it.
macro_rules! number {
    ($($width:ty),*) => {$(
        impl Setting for $width {
            fn value(&self) -> Value {
                Value::Number(u64::try_from(*self).unwrap_or(u64::MAX))
            }

            fn take(&mut self, value: &Value) -> Result<(), Unfit> {
                let Value::Number(number) = value else { return Err(Unfit) };
                *self = Self::try_from(*number).map_err(|_| Unfit)?;
                Ok(())
            }
        }
    )*};
}
number!(u16, u32, u64, usize);

impl Setting for Duration {
    fn value(&self) -> Value {
        Value::Duration(*self)
    }

    fn take(&mut self, value: &Value) -> Result<(), Unfit> {
        let Value::Duration(duration) = value else { return Err(Unfit) };
        *self = *duration;
        Ok(())
    }
}

/// A duration that 0 turns off.
impl Setting for Option<Duration> {
    fn value(&self) -> Value {
        Value::Duration(self.unwrap_or_default())
    }

    fn take(&mut self, value: &Value) -> Result<(), Unfit> {
        let Value::Duration(duration) = value else { return Err(Unfit) };
        *self = (!duration.is_zero()).then_some(*duration);
        Ok(())
    }
}

/// A number that 0 turns off.
impl Setting for Option<u64> {
    fn value(&self) -> Value {
        Value::Number(self.unwrap_or_default())
    }

    fn take(&mut self, value: &Value) -> Result<(), Unfit> {
        let Value::Number(number) = value else { return Err(Unfit) };
        *self = (*number != 0).then_some(*number);
        Ok(())
    }
}

/// A whole number that may be left as it is.
impl Setting for Option<i32> {
    fn value(&self) -> Value {
        self.map_or(Value::Automatic, |number| Value::Signed(number.into()))
    }

    fn take(&mut self, value: &Value) -> Result<(), Unfit> {
        if *value == Value::Automatic {
            *self = None;
            return Ok(());
        }
        let Value::Signed(number) = value else { return Err(Unfit) };
        *self = Some(i32::try_from(*number).map_err(|_| Unfit)?);
        Ok(())
    }
}

impl Setting for DescriptorLimit {
    fn value(&self) -> Value {
        match self {
            Self::Hard => Value::Automatic,
            Self::Number(number) => Value::Number(*number),
        }
    }

    fn take(&mut self, value: &Value) -> Result<(), Unfit> {
        if *value == Value::Automatic {
            *self = Self::Hard;
            return Ok(());
        }
        let Value::Number(number) = value else { return Err(Unfit) };
        *self = Self::Number(*number);
        Ok(())
    }
}

/// Types that are a text in the file; for the optional ones an empty text is none.
macro_rules! text {
    ($($type:ty: $show:expr, $read:expr;)*) => {$(
        impl Setting for $type {
            fn value(&self) -> Value {
                let show: fn(&$type) -> String = $show;
                Value::Text(show(self))
            }

            fn take(&mut self, value: &Value) -> Result<(), Unfit> {
                let Value::Text(text) = value else { return Err(Unfit) };
                let read: fn(&str) -> Option<$type> = $read;
                *self = read(text).ok_or(Unfit)?;
                Ok(())
            }
        }
    )*};
}
text! {
    String: Self::clone, |text| Some(text.to_owned());
    PathBuf: |path| path_text(path), |text| Some(Self::from(text));
    Secret: |secret| secret.expose().to_owned(), |text| Some(Self::new(text));
    Option<String>: |text| text.clone().unwrap_or_default(),
        |text| Some((!text.is_empty()).then(|| text.to_owned()));
    Option<PathBuf>: |path| path.as_ref().map_or_else(String::new, |path| path_text(path)),
        |text| Some((!text.is_empty()).then(|| PathBuf::from(text)));
    Option<FileMask>: |mask| mask.map_or_else(String::new, |mask| mask.to_string()),
        |text| if text.is_empty() { Some(None) } else { FileMask::parse(text).map(Some) };
    CpuAffinity: |affinity| affinity.to_string(), |text| CpuAffinity::parse(text);
    App: App::name, App::from_name;
    LogLevel: |level| word(*level, &Self::WORDS), |text| named(text, &LogLevel::WORDS);
    SlowClient: |slow| word(*slow, &Self::WORDS), |text| named(text, &SlowClient::WORDS);
    RatePolicy: |policy| word(*policy, &Self::WORDS), |text| named(text, &RatePolicy::WORDS);
    ForwardedHeader: |header| word(*header, &Self::ALL),
        |text| named(text, &ForwardedHeader::ALL);
    ListenerProtocol: |protocol| word(*protocol, &Self::WORDS),
        |text| named(text, &ListenerProtocol::WORDS);
    ListenAddress: Self::to_string, |text| text.parse().ok();
    Mode: |mode| format!("{:04o}", mode.0), |text| u32::from_str_radix(text, 8).ok().map(Self);
    Trust: Self::to_string, |text| text.parse().ok();
    AllowedOrigins: Self::to_string, |text| text.parse().ok();
    Subprotocols: Self::to_string, |text| text.parse().ok();
    Takeover: |who| word(*who, &Self::WORDS), |text| named(text, &Takeover::WORDS);
    ClientAuth: |wanted| word(*wanted, &Self::WORDS), |text| named(text, &ClientAuth::WORDS);
    DrainCloseCode: |code| word(*code, &Self::WORDS), |text| named(text, &DrainCloseCode::WORDS);
    TlsVersion: |version| word(*version, &Self::WORDS), |text| named(text, &TlsVersion::WORDS);
    Restart: |restart| word(*restart, &Self::WORDS), |text| named(text, &Restart::WORDS);
}

impl Setting for Vec<String> {
    fn value(&self) -> Value {
        Value::List(self.clone())
    }

    fn take(&mut self, value: &Value) -> Result<(), Unfit> {
        let Value::List(texts) = value else { return Err(Unfit) };
        self.clone_from(texts);
        Ok(())
    }
}

/// Arrays of words out of a table.
macro_rules! chosen {
    ($($type:ty: $table:expr;)*) => {$(
        impl Setting for Vec<$type> {
            fn value(&self) -> Value {
                Value::List(self.iter().map(|one| word(*one, &$table)).collect())
            }

            fn take(&mut self, value: &Value) -> Result<(), Unfit> {
                let Value::List(texts) = value else { return Err(Unfit) };
                let chosen: Option<Self> = texts.iter().map(|text| named(text, &$table)).collect();
                *self = chosen.ok_or(Unfit)?;
                Ok(())
            }
        }
    )*};
}
chosen! {
    EventKind: EventKind::ALL;
    Door: Door::WORDS;
}

impl Setting for BTreeMap<String, String> {
    fn value(&self) -> Value {
        Value::Table(self.clone())
    }

    fn take(&mut self, value: &Value) -> Result<(), Unfit> {
        let Value::Table(texts) = value else { return Err(Unfit) };
        self.clone_from(texts);
        Ok(())
    }
}

fn path_text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
