//! An application, as `server.app` and `app` of a route name it.
//!
//! Owns the names.

use wsmaster_settings::{Arity, kinds, text};

use super::validators::is_table_name;

/// What accepts an application.
pub(crate) const APP: Arity = kinds::named(&App::WORDS, App::PLUGIN, is_table_name);

/// What connections are connected to: an application that comes with the server, or a program of the user's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum App {
    /// Channels with subscribe, publish and presence.
    Channels,
    /// Every message goes back to its sender.
    Echo,
    /// Every message goes to everybody.
    Broadcast,
    /// The `[[process]]` of this name has the connections: it hears and answers them.
    Plugin(String),
}

impl App {
    /// The names of those that come with the server.
    const WORDS: [&'static str; 3] = ["channels", "echo", "broadcast"];

    /// What stands before the name of a process.
    const PLUGIN: &'static str = "plugin:";

    /// Its name in the file and on the command line.
    pub fn name(&self) -> String {
        match self {
            Self::Channels => "channels".to_owned(),
            Self::Echo => "echo".to_owned(),
            Self::Broadcast => "broadcast".to_owned(),
            Self::Plugin(name) => format!("{}{name}", Self::PLUGIN),
        }
    }

    fn from_name(text: &str) -> Option<Self> {
        match text {
            "channels" => Some(Self::Channels),
            "echo" => Some(Self::Echo),
            "broadcast" => Some(Self::Broadcast),
            other => other.strip_prefix(Self::PLUGIN).map(|name| Self::Plugin(name.to_owned())),
        }
    }

    /// The name of the process that is the application, if one is.
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Self::Plugin(name) => Some(name),
            Self::Channels | Self::Echo | Self::Broadcast => None,
        }
    }
}

text! {
    App: Self::name, Self::from_name;
}
