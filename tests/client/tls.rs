//! `wsmaster client` over TLS: whom it believes, what it says when it does not, and that a conversation is the same inside.

use std::{
    io::{Read, Write},
    net::{Ipv6Addr, SocketAddr, TcpListener, TcpStream},
    path::Path,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::{
    authority::{Authority, Signed, put},
    events,
    support::{App, Output, PATIENCE, Server, Setup, Signal, begin, run, run_with_input},
};

/// How long a relay waits for bytes of one side before it looks at the other.
const RELAY_TURN: Duration = Duration::from_millis(2);

/// An authority, a server's certificate in files, and the server that shows it.
struct Place {
    directory: TempDir,
    authority: Authority,
}

impl Place {
    fn new() -> Self {
        let (directory, authority) = (tempfile::tempdir().expect("a directory"), Authority::new());
        put(&directory.path().join("ca.pem"), &authority.pem());
        Self { directory, authority }
    }

    fn at(&self, name: &str) -> String {
        self.directory.path().join(name).display().to_string()
    }

    /// The beginning of a configuration whose server shows this certificate.
    fn section(&self, own: &Signed) -> String {
        let (chain, key) = own.write(self.directory.path(), "own");
        section(&chain, &key)
    }

    fn serve(&self, own: &Signed, more: &str) -> Server {
        let config = format!("{}{more}", self.section(own));
        Server::start(Setup::default().app(App::Echo).config_toml(&config))
    }

    /// A server for `localhost` and the addresses of this machine.
    fn serve_well(&self, more: &str) -> Server {
        self.serve(&self.authority.server(&["localhost", "127.0.0.1", "::1"]), more)
    }
}

fn section(chain: &Path, key: &Path) -> String {
    format!("[tls]\ncert_file = \"{}\"\nkey_file = \"{}\"\n", chain.display(), key.display())
}

fn url(server: &Server) -> String {
    format!("wss://localhost:{}/", server.addr().port())
}

#[track_caller]
fn talk(url: &str, args: &[&str], input: &[u8]) -> Output {
    run_with_input(&[&["client", url], args].concat(), input)
}

/// What the client says, in one line, when it gives up.
#[track_caller]
fn refusal(url: &str, args: &[&str]) -> String {
    let output = talk(url, args, b"hello\n").expect_code(1);
    assert_eq!((output.stdout.as_str(), output.stderr.lines().count()), ("", 1), "{output}");
    output.stderr
}

#[test]
fn what_the_command_for_certificates_makes_is_believed_when_it_is_named() {
    let directory = tempfile::tempdir().expect("a directory");
    let (made, ca) = (directory.path().display().to_string(), directory.path().join("cert.pem"));
    let config = run(&["cert", "self-signed", "--out", &made]).expect_code(0).stdout;
    let server = Server::start(Setup::default().app(App::Echo).config_toml(&config));
    let (url, ca) = (url(&server), ca.display().to_string());

    let output = talk(&url, &["--ca", &ca], "one\ntwo \u{e9}\n\nlast".as_bytes()).expect_code(0);
    assert_eq!((output.stdout.as_str(), output.stderr.as_str()), ("one\ntwo \u{e9}\n\nlast\n", ""));

    let stranger = refusal(&url, &[]);
    assert!(stranger.starts_with(&format!("TLS with localhost:{}: ", server.addr().port())));
    for part in ["signed by nobody who is trusted here", "--ca FILE", "--insecure"] {
        assert!(stranger.contains(part), "{stranger}");
    }

    let careless = talk(&url, &["--insecure"], b"hello\n").expect_code(0);
    assert_eq!(careless.stdout, "hello\n");
    let port = server.addr().port();
    assert_eq!(
        careless.stderr,
        format!("--insecure: the certificate of localhost:{port} is not checked\n")
    );
}

#[test]
fn the_handshake_of_tls_is_a_step_of_its_own() {
    let place = Place::new();
    let server = place.serve_well("");
    let args = ["--ca", &place.at("ca.pem"), "--json", "--timing"];
    let output = talk(&url(&server), &args, b"hello\n").expect_code(0);
    let events = events(&output.stdout);
    assert_eq!(events[0]["tls"], "1.3", "{}", events[0]);
    assert!(events[0]["tls_ms"].as_f64() > Some(0.0), "{}", events[0]);
    assert!(events.contains(&json!({"event": "message", "text": "hello"})), "{output}");
    assert!(events.iter().any(|event| event["event"] == "pong"), "{output}");
    let output =
        talk(&url(&server), &["--ca", &place.at("ca.pem"), "--timing"], b"").expect_code(0);
    assert!(output.stderr.contains(" ms, TLS 1.3 in "), "{output}");
    let status = server.status();
    assert_eq!(status["totals"]["tls_failures"], 0, "{status}");
}

#[test]
fn names_and_addresses_are_what_the_certificate_is_for() {
    let place = Place::new();
    let ca = place.at("ca.pem");
    let server = place.serve_well("");
    let port = server.addr().port();
    talk(&format!("wss://127.0.0.1:{port}/"), &["--ca", &ca], b"").expect_code(0);
    drop(server);

    let own = place.authority.server(&["::1"]);
    let config = place.section(&own);
    let setup = Setup::default().app(App::Echo).config_toml(&config).listen("[::1]:0");
    let server = Server::start(setup);
    assert_eq!(server.addr().ip(), Ipv6Addr::LOCALHOST);
    let url = format!("wss://{}/", server.addr());
    let output = talk(&url, &["--ca", &ca], b"hello\n").expect_code(0);
    assert_eq!(output.stdout, "hello\n");
    drop(server);

    let server = place.serve(&place.authority.server(&["other.example"]), "");
    let port = server.addr().port();
    assert_eq!(
        refusal(&format!("wss://127.0.0.1:{port}/"), &["--ca", &ca]),
        format!(
            "TLS with 127.0.0.1:{port}: the server's certificate is for other.example, not for 127.0.0.1\n"
        )
    );
}

#[test]
fn an_old_certificate_and_one_of_an_authority_are_told_apart() {
    let place = Place::new();
    let ca = place.at("ca.pem");
    let server = place.serve(&place.authority.expired(&["localhost"]), "");
    let told = refusal(&url(&server), &["--ca", &ca]);
    assert!(told.ends_with(": the server's certificate has expired on 2020-02-29\n"), "{told}");
    drop(server);

    // As `openssl req -x509` makes it: an authority that shows its own certificate.
    let own = Authority::for_itself(&["localhost"]);
    let server = place.serve(&own, "");
    let told = refusal(&url(&server), &["--ca", &ca]);
    assert!(told.contains("that of an authority (CA:TRUE); --ca FILE"), "{told}");
    let output = talk(&url(&server), &["--ca", &place.at("own.pem")], b"hello\n").expect_code(0);
    assert_eq!(output.stdout, "hello\n");
    // It is believed for the names in it only.
    let elsewhere = format!("wss://127.0.0.1:{}/", server.addr().port());
    let told = refusal(&elsewhere, &["--ca", &place.at("own.pem")]);
    assert!(told.contains("is for localhost, not for 127.0.0.1"), "{told}");
}

#[test]
fn a_server_that_wants_certificates_gets_one() {
    let place = Place::new();
    let ca = place.at("ca.pem");
    let asking = format!("client_ca_file = \"{ca}\"\nclient_auth = \"required\"\n");
    let server = place.serve_well(&asking);
    let files = |signed: &Signed, name: &str| {
        signed.write(place.directory.path(), name);
        (place.at(&format!("{name}.pem")), place.at(&format!("{name}.key")))
    };
    let (cert, key) = files(&place.authority.client("sensor 7"), "known");
    let output = talk(&url(&server), &["--ca", &ca, "--cert", &cert, "--key", &key], b"hello\n");
    assert_eq!(output.expect_code(0).stdout, "hello\n");

    let told = refusal(&url(&server), &["--ca", &ca]);
    assert!(
        told.ends_with(": the server wants a certificate of the client: --cert FILE --key FILE\n"),
        "{told}"
    );
    let (strange, strange_key) = files(&Authority::new().client("sensor 7"), "strange");
    let told = refusal(&url(&server), &["--ca", &ca, "--cert", &strange, "--key", &strange_key]);
    assert!(told.contains("does not accept the certificate of the client ("), "{told}");

    let mixed = ["--ca", &ca, "--cert", &cert, "--key", &strange_key];
    let output = talk(&url(&server), &mixed, b"").expect_code(2);
    let expected = format!("{strange_key}: the private key does not belong to the certificate\n");
    assert_eq!(output.stderr, expected);
}

#[test]
fn large_and_many_messages_come_back_as_they_went() {
    let place = Place::new();
    let server =
        place.serve_well("[limits]\nmessage_bytes_max = \"2MiB\"\noutbox_bytes_max = \"4MiB\"\n");
    let args = ["--ca", &place.at("ca.pem")];
    let large: String = (0..1_u32 << 20).map(|at| char::from(b'a' + (at / 7 % 26) as u8)).collect();
    let many: String =
        (0..20_000).map(|number| format!("{number} {}\n", "x".repeat(200))).collect();
    for input in [format!("{large}\n"), many] {
        let output = talk(&url(&server), &args, input.as_bytes()).expect_code(0);
        assert!(output.stdout == input, "{} of {} bytes", output.stdout.len(), input.len());
    }
}

#[test]
fn subprotocols_are_agreed_on_inside() {
    let place = Place::new();
    let server = place.serve_well("[server]\nsubprotocols = \"chat.v2, chat.v1\"\n");
    let args = ["--ca", &place.at("ca.pem"), "--json", "--subprotocol", "chat.v1"];
    let output = talk(&url(&server), &args, b"hello\n").expect_code(0);
    let events = events(&output.stdout);
    assert_eq!(events[0]["subprotocol"], "chat.v1", "{output}");
    assert_eq!(events[1], json!({"event": "message", "text": "hello"}), "{output}");
}

#[test]
fn a_person_at_a_terminal_is_answered() {
    let place = Place::new();
    let server = place.serve_well("");
    let client = format!(
        "exec {} client --ca {} {}",
        env!("CARGO_BIN_EXE_wsmaster"),
        place.at("ca.pem"),
        url(&server)
    );
    // script(1) makes a terminal; what is written to it is typed.
    let mut terminal = Command::new("script")
        .args(["-qfec", &client, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("script(1)");
    let mut keys = terminal.stdin.take().expect("piped");
    let mut shown = terminal.stdout.take().expect("piped");
    let mut text = String::new();
    let mut until = |part: &str| {
        while !text.contains(part) {
            let mut buffer = [0; 256];
            let count = shown.read(&mut buffer).expect("a terminal");
            assert!(count > 0, "the end instead of {part:?}: {text}");
            text.push_str(&String::from_utf8_lossy(&buffer[..count]));
        }
    };
    until("lines are sent, Ctrl-D closes");
    keys.write_all(b"one\n").expect("a terminal");
    until("< one");
    keys.write_all(b"two\n").expect("a terminal");
    until("< two");
    keys.write_all(b"\x04").expect("a terminal");
    until("closed by this side: 1000");
    assert!(terminal.wait().expect("it is our child").success());
}

#[test]
fn a_server_that_stops_or_dies_is_told_apart_inside() {
    let place = Place::new();
    let server = place.serve_well("");
    let (url, ca) = (url(&server), place.at("ca.pem"));
    let connected = |count: u64| {
        server.wait_until("the client", PATIENCE, |status| status["totals"]["websockets"] == count);
    };
    let client = begin(&["client", &url, "--ca", &ca, "--no-close-on-eof"]);
    connected(1);
    server.kill_worker(0, Signal::Kill);
    let output = client.wait().expect_code(1);
    assert!(
        output.stderr == "the server ended the connection without a close frame\n"
            || output.stderr == "the server broke the connection off\n",
        "{output}"
    );
    server.wait_ready();
    let client = begin(&["client", &url, "--ca", &ca, "--no-close-on-eof", "--json"]);
    connected(1);
    server.cli(&["stop"]).expect_code(0);
    let output = client.wait().expect_code(1);
    let last = events(&output.stdout).pop().expect("a last event");
    assert_eq!((&last["by"], &last["code"]), (&json!("server"), &json!(1001)), "{output}");
}

/// Carries bytes between one client and the server until it is told to break: then it waits for bytes of the client, leaves
/// them unread, and ends, which is a reset.
fn relay(to: SocketAddr) -> (u16, Arc<AtomicBool>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let breaks = Arc::new(AtomicBool::new(false));
    let told = breaks.clone();
    thread::spawn(move || {
        let (client, _) = listener.accept().expect("a client");
        let server = TcpStream::connect(to).expect("it listens");
        for socket in [&client, &server] {
            socket.set_read_timeout(Some(RELAY_TURN)).expect("a socket");
        }
        let pass = |mut from: &TcpStream, mut to: &TcpStream| {
            let mut bytes = [0; 4096];
            if let Ok(count) = from.read(&mut bytes) {
                to.write_all(&bytes[..count]).expect("it is open");
            }
        };
        while !told.load(Ordering::Acquire) {
            pass(&client, &server);
            pass(&server, &client);
        }
        while client.peek(&mut [0]).is_err() {}
    });
    (port, breaks)
}

#[test]
fn a_reset_in_the_middle_is_told() {
    let place = Place::new();
    let server = place.serve_well("");
    let (port, breaks) = relay(server.addr());
    let url = format!("wss://localhost:{port}/");
    let args = ["client", &url, "--ca", &place.at("ca.pem"), "--no-close-on-eof", "--ping", "1"];
    let client = begin(&args);
    server.wait_until("the client", PATIENCE, |status| status["totals"]["websockets"] == 1);
    breaks.store(true, Ordering::Release);
    let output = client.wait().expect_code(1);
    assert_eq!(output.stderr, "the server broke the connection off\n");
}

#[test]
fn what_is_no_tls_server_is_told_in_a_line() {
    let plain = Server::start(Setup::default().app(App::Echo));
    let told = refusal(&url(&plain), &[]);
    assert!(told.contains("does not speak TLS there; ws://"), "{told}");
    for (answer, part) in [
        (&b"SSH-2.0-OpenSSH\r\n"[..], "does not speak TLS there; ws://"),
        (b"", "in the middle of the TLS handshake; is TLS spoken there?"),
        // Alerts of a server that knows no such name, and of one that speaks nothing newer than TLS 1.0 (RFC 8446, 6).
        (b"\x15\x03\x01\x00\x02\x02\x70", "has no certificate for this name"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "speaks neither TLS 1.2 nor TLS 1.3"),
    ] {
        let told = refusal(&one_answer(answer), &[]);
        assert!(told.contains(part), "{told}");
    }
    // A client in the clear, where TLS is spoken.
    let place = Place::new();
    let server = place.serve_well("");
    let told = refusal(&url(&server).replace("wss:", "ws:"), &[]);
    assert!(told.contains("this port speaks TLS: use https:// or wss://"), "{told}");
    let alert = one_answer(b"\x15\x03\x01\x00\x02\x02\x46").replace("wss:", "ws:");
    let told = refusal(&alert, &[]);
    assert!(
        told.ends_with(": the server speaks TLS there; write wss:// instead of ws://\n"),
        "{told}"
    );
}

/// A server for one caller, whom it gives this answer. Its URL.
fn one_answer(answer: &[u8]) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("wss://{}/", listener.local_addr().expect("an address"));
    let answer = answer.to_vec();
    thread::spawn(move || {
        let (mut stream, _) = listener.accept().expect("a caller");
        let _ = stream.read(&mut [0; 4096]);
        stream.write_all(&answer).expect("connected");
    });
    url
}

#[test]
fn a_handshake_has_a_deadline() {
    let silent = TcpListener::bind("127.0.0.1:0").expect("a port");
    let url = format!("wss://{}/", silent.local_addr().expect("an address"));
    let told = refusal(&url, &["--connect-timeout", "0.2"]);
    assert!(told.starts_with("TLS with ") && told.ends_with(": no answer in time\n"), "{told}");
}

#[test]
fn files_that_cannot_be_used_and_options_without_tls_are_wrong_arguments() {
    let place = Place::new();
    put(&place.directory.path().join("empty.pem"), "");
    let nothing = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    put(&place.directory.path().join("nothing.pem"), nothing);
    let (ca, empty, nothing) = (place.at("ca.pem"), place.at("empty.pem"), place.at("nothing.pem"));
    for (args, part) in [
        (&["wss://localhost/", "--ca", "no-such-file"][..], "no-such-file cannot be read: "),
        (&["wss://localhost/", "--ca", &empty], "empty.pem: expected a certificate in PEM form"),
        (
            &["wss://localhost/", "--ca", &nothing],
            "nothing.pem: the certificate cannot be understood",
        ),
        (
            &["wss://localhost/", "--cert", &ca, "--key", &empty],
            "empty.pem: expected a private key",
        ),
        (&["ws://localhost/", "--ca", &ca], "--ca is about TLS, which ws:// is without"),
        (&["ws://localhost/", "--insecure"], "--insecure is about TLS"),
        (&["https://localhost/"], "write wss:// instead of https://"),
        (&["http://localhost/"], "write ws:// instead of http://"),
    ] {
        let wrong = run(&[&["client"], args].concat()).expect_code(2);
        assert!(wrong.stderr.contains(part), "{args:?}: {wrong}");
        assert_eq!(wrong.stderr.lines().count(), 1, "{wrong}");
    }
    for args in [&["--cert", &ca][..], &["--key", &ca], &["--insecure", "--ca", &ca]] {
        run(&[&["client", "wss://localhost/"], args].concat()).expect_code(2);
    }
}

#[test]
fn the_authorities_of_the_system_are_those_of_its_file() {
    let place = Place::new();
    let server = place.serve_well("");
    let client = |file: &str| {
        let output = Command::new(env!("CARGO_BIN_EXE_wsmaster"))
            .args(["client", &url(&server), "--json"])
            .env("SSL_CERT_FILE", file)
            .env_remove("SSL_CERT_DIR")
            .stdin(Stdio::null())
            .output()
            .expect("the program was built with the tests");
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        (output.status.code(), text)
    };
    let (code, text) = client(&place.at("ca.pem"));
    let last: Option<Value> = events(&text).pop();
    assert_eq!((code, last.map(|event| event["event"].clone())), (Some(0), Some(json!("close"))));
    let (code, text) = client(&place.at("no-such-file"));
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("no authority is known") && text.contains("--ca"), "{text}");
}
