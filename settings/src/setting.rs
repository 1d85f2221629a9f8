//! How a value becomes the field of a setting, and back.
//!
//! Owns the conversion between the few kinds of values and the Rust types of the settings. What is valid was decided before:
//! a conversion that does not fit is a mistake in a declaration.

use std::{collections::BTreeMap, path::PathBuf, time::Duration};

use wsmaster_protocol::{
    origin::AllowedOrigins,
    proxy::{forwarded, trust::Trust},
    subprotocols::Subprotocols,
};

use crate::{
    enums::{Word, of_word, word_of},
    value::Value,
};

/// A value of a kind its field cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WrongType;

/// A type that a field of the settings can have.
pub trait Setting: Sized {
    /// The value that [`Setting::of_value`] turns into the same setting.
    fn value(&self) -> Value;

    /// The setting of a value. [`Value::Automatic`] is one that the server is going to work out, where that is no setting by
    /// itself.
    ///
    /// # Errors
    /// The value is of another kind.
    fn of_value(value: &Value) -> Result<Self, WrongType>;
}

/// A type whose absence has a value too: an empty text, 0, or the word that leaves it as it is.
pub trait Optional: Sized {
    /// The value of one, or of none.
    fn value(this: Option<&Self>) -> Value;

    /// One or none.
    ///
    /// # Errors
    /// The value is of another kind.
    fn of_value(value: &Value) -> Result<Option<Self>, WrongType>;
}

impl<T: Optional> Setting for Option<T> {
    fn value(&self) -> Value {
        T::value(self.as_ref())
    }

    fn of_value(value: &Value) -> Result<Self, WrongType> {
        T::of_value(value)
    }
}

impl Setting for bool {
    fn value(&self) -> Value {
        Value::Flag(*self)
    }

    fn of_value(value: &Value) -> Result<Self, WrongType> {
        if let Value::Flag(flag) = value { Ok(*flag) } else { Err(WrongType) }
    }
}

/// Whole numbers of any width; the range of the key keeps them inside it.
macro_rules! number {
    ($($width:ty),*) => {$(
        impl Setting for $width {
            fn value(&self) -> Value {
                Value::Number(u64::try_from(*self).unwrap_or(u64::MAX))
            }

            fn of_value(value: &Value) -> Result<Self, WrongType> {
                match value {
                    Value::Number(number) => Self::try_from(*number).map_err(|_| WrongType),
                    Value::Automatic => Ok(0),
                    _ => Err(WrongType),
                }
            }
        }
    )*};
}
number!(u16, u32, u64, usize);

impl Setting for Duration {
    fn value(&self) -> Value {
        Value::Duration(*self)
    }

    fn of_value(value: &Value) -> Result<Self, WrongType> {
        if let Value::Duration(duration) = value { Ok(*duration) } else { Err(WrongType) }
    }
}

/// 0 turns it off.
impl Optional for Duration {
    fn value(this: Option<&Self>) -> Value {
        Value::Duration(this.copied().unwrap_or_default())
    }

    fn of_value(value: &Value) -> Result<Option<Self>, WrongType> {
        let duration = <Self as Setting>::of_value(value)?;
        Ok((!duration.is_zero()).then_some(duration))
    }
}

/// 0 turns it off.
impl Optional for u64 {
    fn value(this: Option<&Self>) -> Value {
        Value::Number(this.copied().unwrap_or_default())
    }

    fn of_value(value: &Value) -> Result<Option<Self>, WrongType> {
        let number = <Self as Setting>::of_value(value)?;
        Ok((number != 0).then_some(number))
    }
}

/// It may be left as it is.
impl Optional for i32 {
    fn value(this: Option<&Self>) -> Value {
        this.map_or(Value::Automatic, |number| Value::Signed((*number).into()))
    }

    fn of_value(value: &Value) -> Result<Option<Self>, WrongType> {
        match value {
            Value::Automatic => Ok(None),
            Value::Signed(number) => Self::try_from(*number).map(Some).map_err(|_| WrongType),
            _ => Err(WrongType),
        }
    }
}

/// `text! { App: |app| app.name(), |text| App::from_name(text); }`: types that are a text in the file.
#[macro_export]
macro_rules! text {
    ($($type:ty: $show:expr, $read:expr;)*) => {$(
        impl $crate::Setting for $type {
            fn value(&self) -> $crate::Value {
                let show: fn(&$type) -> String = $show;
                $crate::Value::Text(show(self))
            }

            fn of_value(value: &$crate::Value) -> Result<Self, $crate::WrongType> {
                let read: fn(&str) -> Option<$type> = $read;
                value.text().and_then(read).ok_or($crate::WrongType)
            }
        }
    )*};
}
text! {
    String: Self::clone, |text| Some(text.to_owned());
    Trust: Self::to_string, |text| text.parse().ok();
    AllowedOrigins: Self::to_string, |text| text.parse().ok();
    Subprotocols: Self::to_string, |text| text.parse().ok();
}

impl Setting for PathBuf {
    fn value(&self) -> Value {
        Value::Text(self.to_string_lossy().into_owned())
    }

    fn of_value(value: &Value) -> Result<Self, WrongType> {
        match value {
            Value::Automatic => Ok(Self::new()),
            value => value.text().map(Self::from).ok_or(WrongType),
        }
    }
}

/// `optional_text! { FileMask }`: types that are a text in the file, and none where it is empty.
#[macro_export]
macro_rules! optional_text {
    ($($type:ty),*) => {$(
        impl $crate::Optional for $type {
            fn value(this: Option<&Self>) -> $crate::Value {
                let empty = || $crate::Value::Text(String::new());
                this.map_or_else(empty, $crate::Setting::value)
            }

            fn of_value(value: &$crate::Value) -> Result<Option<Self>, $crate::WrongType> {
                match value.text() {
                    Some("") => Ok(None),
                    _ => <Self as $crate::Setting>::of_value(value).map(Some),
                }
            }
        }
    )*};
}
optional_text!(String, PathBuf);

/// `words! { Restart: "always" => Always, "never" => Never }`: the words of the values of a type.
#[macro_export]
macro_rules! words {
    ($type:ty: $($word:literal => $value:ident),+ $(,)?) => {
        impl $crate::Word for $type {
            const WORDS: &'static [(&'static str, Self)] = &[$(($word, Self::$value)),+];
            const NAMES: &'static [&'static str] = &[$($word),+];
        }
        $crate::word_setting!($type);
    };
}

/// A type that has words is a setting.
#[doc(hidden)]
#[macro_export]
macro_rules! word_setting {
    ($type:ty) => {
        impl $crate::Setting for $type {
            fn value(&self) -> $crate::Value {
                $crate::Value::Text($crate::word_of(*self).to_owned())
            }

            fn of_value(value: &$crate::Value) -> Result<Self, $crate::WrongType> {
                value.text().and_then($crate::of_word).ok_or($crate::WrongType)
            }
        }
    };
}

word_setting!(forwarded::Header);

impl Setting for Vec<String> {
    fn value(&self) -> Value {
        Value::List(self.clone())
    }

    fn of_value(value: &Value) -> Result<Self, WrongType> {
        if let Value::List(texts) = value { Ok(texts.clone()) } else { Err(WrongType) }
    }
}

impl<T: Word> Setting for Vec<T> {
    fn value(&self) -> Value {
        Value::List(self.iter().map(|one| word_of(*one).to_owned()).collect())
    }

    fn of_value(value: &Value) -> Result<Self, WrongType> {
        let Value::List(texts) = value else { return Err(WrongType) };
        texts.iter().map(|text| of_word(text).ok_or(WrongType)).collect()
    }
}

impl Setting for BTreeMap<String, String> {
    fn value(&self) -> Value {
        Value::Table(self.clone())
    }

    fn of_value(value: &Value) -> Result<Self, WrongType> {
        if let Value::Table(texts) = value { Ok(texts.clone()) } else { Err(WrongType) }
    }
}
