//! What a setting is: one declaration gives its field, default, range, explanation, reading and writing.
//!
//! Owns [`settings!`], the kinds of values, and the words for a value that is refused. It reads no file, no environment and
//! no clock, and knows no setting: those are declared in the crates that use them.

mod assigned;
mod declare;
mod enums;
pub mod kinds;
mod messages;
mod printable;
mod schema;
mod setting;
mod suggest;
mod units;
mod value;

pub use assigned::{Assigned, Origin, computed_by, defaults, first};
pub use enums::{Word, names, of_word, word_of};
pub use printable::{printable, printable_path};
pub use schema::{
    Access, Arity, Array, Key, Machine, Names, Place, Presence, Schema, Settings, debug,
};
pub use setting::{Optional, Setting, WrongType};
pub use suggest::nearest;
pub use units::{describe_size, format_duration, parse_duration};
pub use value::{Kind, Raw, Value};
