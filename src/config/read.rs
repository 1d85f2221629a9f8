//! From the sources to what they give, and all that is wrong with them.
//!
//! Owns which names are understood where. What holds between two settings is checked elsewhere.

pub(crate) mod arrays;
pub(crate) mod document;
pub(crate) mod environment;
pub(crate) mod file;
pub(crate) mod file_reading;
pub(crate) mod overrides;
pub(crate) mod reading;
pub(crate) mod service_links;
pub(crate) mod swoole;
pub(crate) mod syntax;
