//! A server with certificates, in a directory that both share.

use std::path::{Path, PathBuf};

use super::{
    authority::{Authority, Signed, put},
    client::Way,
};
use crate::support::{App, Server, Setup};

/// What a server needs before it starts, and keeps after it has.
pub(crate) struct Place {
    directory: tempfile::TempDir,
    pub(crate) authority: Authority,
    pub(crate) own: Signed,
}

impl Place {
    /// With a certificate for `localhost`.
    pub(crate) fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory for certificates");
        let authority = Authority::new();
        let own = authority.server(&["localhost"]);
        own.write(directory.path(), "own");
        put(&directory.path().join("ca.pem"), &authority.pem());
        Self { directory, authority, own }
    }

    pub(crate) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(crate) fn at(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// The `[tls]` section with the certificate of this place, and more lines of it.
    pub(crate) fn section(&self, more: &str) -> String {
        format!(
            "[tls]\ncert_file = \"{0}/own.pem\"\nkey_file = \"{0}/own.key\"\n{more}\n",
            self.path().display()
        )
    }

    /// A line that asks clients for certificates of the authority.
    pub(crate) fn client_ca(&self) -> String {
        format!("client_ca_file = \"{}/ca.pem\"", self.path().display())
    }

    pub(crate) fn setup(&self, more: &str) -> Setup {
        Setup::default().app(App::Echo).config_toml(&self.section(more))
    }

    pub(crate) fn serve(&self) -> Server {
        Server::start(self.setup(""))
    }

    pub(crate) fn way(&self) -> Way {
        Way::new(&self.authority)
    }
}
