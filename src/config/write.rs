//! The settings as texts: files, and the page of the documentation.

pub(crate) mod reference;
pub(crate) mod render;
