//! A proxy that runs in the foreground in a directory of its own, and is gone with all its processes afterwards.

use std::{
    fs::{self, File},
    net::{TcpListener, TcpStream},
    process::{Child, Command, Stdio},
};

use crate::{
    driver,
    kinds::{Kind, Place},
    support::{
        PATIENCE, Server, Signal, descendants_of, in_time, is_alive, raw, run, signal,
        working_below,
    },
};

/// A running proxy.
#[derive(Debug)]
pub(crate) struct Proxy {
    kind: Kind,
    child: Child,
    directory: tempfile::TempDir,
    ports: [u16; 3],
}

impl Proxy {
    /// Starts it in front of a server, and waits until it listens.
    #[track_caller]
    pub(crate) fn start(kind: Kind, server: &Server, is_impatient: bool) -> Option<Self> {
        let Some(program) = kind.program() else {
            driver::skip(&format!("{kind:?}"));
            return None;
        };
        let directory = tempfile::tempdir().expect("a directory for the proxy");
        certificates(directory.path());
        let ports = free_ports();
        let [http, https, admin] = ports;
        let place = Place {
            directory: directory.path(),
            http,
            https,
            admin,
            server: server.addr(),
            is_impatient,
        };
        let arguments = kind.set_up(&place);
        let output = File::create(directory.path().join("output")).expect("the directory is ours");
        let child = Command::new(program)
            .args(arguments)
            .current_dir(directory.path())
            .env("HOME", directory.path())
            .env("XDG_DATA_HOME", directory.path())
            .env("XDG_CONFIG_HOME", directory.path())
            .stdin(Stdio::null())
            .stdout(output.try_clone().expect("a descriptor"))
            .stderr(output)
            .spawn()
            .expect("it was found");
        let mut proxy = Self { kind, child, directory, ports };
        let is_up = in_time(PATIENCE, || {
            let ended = proxy.child.try_wait().expect("our child").is_some();
            // A proxy may listen before it knows its routes.
            let get =
                b"GET /health HTTP/1.1\r\nHost: chat.example.org\r\nConnection: close\r\n\r\n";
            let serves = || {
                let addr = ([127, 0, 0, 1], http).into();
                TcpStream::connect(("127.0.0.1", https)).is_ok()
                    && TcpStream::connect(addr).is_ok()
                    && raw(addr, get, PATIENCE).bytes.starts_with(b"HTTP/1.1 200")
            };
            (ended || serves()).then_some(!ended)
        });
        assert_eq!(is_up, Some(true), "{kind:?} does not come up");
        Some(proxy)
    }

    /// Runs a scenario of proxied.py through it.
    #[track_caller]
    pub(crate) fn drive(&self, server: &Server, scenario: &str) {
        let [http, https, admin] = self.ports;
        let directory = self.directory.path();
        let place =
            Place { directory, http, https, admin, server: server.addr(), is_impatient: false };
        let reload = self.kind.reload(self.child.id(), &place);
        let keeps = self.kind.keeps();
        let (http, https) = (http.to_string(), https.to_string());
        let certificate = directory.join("certificates/cert.pem");
        driver::drive(
            driver::Tool::Python,
            "python/proxied.py",
            scenario,
            server,
            &[
                ("TEST_PROXY_HTTP", http.as_ref()),
                ("TEST_PROXY_HTTPS", https.as_ref()),
                ("TEST_PROXY_TLS", self.kind.tls().as_ref()),
                ("TEST_PROXY_RELOAD", reload.as_ref()),
                ("TEST_PROXY_KEEPS", keeps.as_ref()),
                ("SSL_CERT_FILE", certificate.as_os_str()),
            ],
        );
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let output =
                fs::read_to_string(self.directory.path().join("output")).unwrap_or_default();
            eprintln!("--- {:?}\n{output}---", self.kind);
        }
        // The master first: it would replace the workers that end before it. What a reload has left behind is found by
        // its working directory.
        let mut others = descendants_of(self.child.id());
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = in_time(PATIENCE, || {
            others.extend(working_below(self.directory.path()));
            others.retain(|pid| signal(*pid, Signal::Kill) && is_alive(*pid));
            others.is_empty().then_some(())
        });
    }
}

/// A certificate for the name in the files, as Debian's and other packages want it.
fn certificates(directory: &std::path::Path) {
    let out = directory.join("certificates");
    let path = out.display().to_string();
    run(&["cert", "self-signed", "--name", "chat.example.org", "--out", &path]).expect_code(0);
    let read = |name| fs::read_to_string(out.join(name)).expect("just made");
    fs::write(out.join("both.pem"), read("cert.pem") + &read("key.pem")).expect("ours");
}

/// Ports that were free a moment ago.
fn free_ports() -> [u16; 3] {
    let listeners = [(); 3].map(|()| TcpListener::bind("127.0.0.1:0").expect("a free port"));
    listeners.map(|listener| listener.local_addr().expect("bound").port())
}
