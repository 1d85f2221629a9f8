//! The declaration of the settings of one table of the file.
//!
//! Owns the macro. What its words mean is said where they are made.

/// Declares the settings of one table: a struct, and all that is known of each of its fields.
///
/// The documentation of a field is what the operator reads about the setting. Behind its type stand what it is where it is not
/// given, what it accepts, other names for it, and for what the server works out by itself how it does. Fields behind `also`
/// are no settings.
///
/// ```
/// use wsmaster_settings::{Machine, Settings, kinds::*, settings};
///
/// settings! {
///     /// What a kettle does.
///     pub struct Kettle = section("kettle");
///
///     /// Degrees at which it stops.
///     degrees: u16 = is("100"), integer(1, 100), ["temperature"];
///
///     /// Degrees at which it goes on.
///     degrees_min: u16 = auto("auto", "half of degrees"), integer(1, 100), [], computed |kettle, _| kettle.degrees / 2;
/// }
///
/// assert_eq!(Kettle::default().degrees_min, 50);
/// assert_eq!(Kettle::SCHEMA.keys[0].about(), "Degrees at which it stops.");
/// ```
#[macro_export]
macro_rules! settings {
    (
        $(#[doc = $about:literal])*
        pub struct $name:ident = $place:expr
        $(, also {
            $($(#[doc = $more:literal])* $other:ident: $other_type:ty = $value:expr;)*
        })?;
        $(
            $(#[doc = $text:literal])*
            $field:ident: $type:ty = $presence:expr, $arity:expr, [$($alias:literal),* $(,)?]
            $(, computed $compute:expr)?;
        )*
    ) => {
        $(#[doc = $about])*
        #[allow(rustdoc::broken_intra_doc_links, rustdoc::invalid_html_tags)]
        #[derive(Clone, PartialEq)]
        pub struct $name {
            $($(#[doc = $text])* pub $field: $type,)*
            $($($(#[doc = $more])* pub $other: $other_type,)*)?
        }

        impl $crate::Settings for $name {
            const SCHEMA: &'static $crate::Schema = &$crate::Schema {
                place: $place,
                about: concat!($($about),*),
                keys: &[$(
                    $crate::Key::new(
                        stringify!($field),
                        concat!($($text),*),
                        $presence,
                        $arity,
                        &[$($alias),*],
                    ),
                )*],
            };
            const ACCESS: &'static [$crate::Access<Self>] = &[$(
                $crate::Access {
                    read: |settings| $crate::Setting::value(&settings.$field),
                    write: |settings, value| {
                        settings.$field = $crate::Setting::of_value(value)?;
                        Ok(())
                    },
                    compute: $crate::computed!(Self, $field $(, $compute)?),
                },
            )*];

            fn blank() -> Self {
                let mut keys = <Self as $crate::Settings>::SCHEMA.keys.iter();
                Self {
                    $($field: $crate::first(keys.next()),)*
                    $($($other: $value,)*)?
                }
            }
        }

        impl Default for $name {
            fn default() -> Self {
                $crate::defaults(&$crate::Machine::unknown())
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                $crate::debug(self, stringify!($name), f)
            }
        }
    };
}

/// How a setting is worked out, if it is.
#[doc(hidden)]
#[macro_export]
macro_rules! computed {
    ($self:ty, $field:ident) => {
        None
    };
    ($self:ty, $field:ident, $compute:expr) => {
        Some(|settings: &mut $self, machine: &$crate::Machine| {
            settings.$field = $crate::computed_by(settings, machine, $compute);
        })
    };
}
