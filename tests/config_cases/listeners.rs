//! `[[listener]]`: what is read from it, and what is shown of it.

use std::path::PathBuf;

use wsmaster::config::{
    HttpEndpoint, LISTENERS_MAX, ListenAddress, ListenerConfig, ListenerProtocol, MAIN_LISTENER,
    Mode,
};

use super::{accepted, refused};

/// With every key, in ways of writing that are not the shortest.
pub(super) const EVERYTHING: &str = r#"
[[listener]]
name = "admin_1"
address = "unix:/run/wsmaster/ad min.sock"
mode = "600"
user = "root"
group = "www-data"
protocol = "http"
serves = ["api", "health"]
proxy_protocol = true
compression = false
message_bytes_max = "64KiB"

[server]
host = "::"
trusted_proxies = " 10.0.0.0/8,unix"
forwarded_header = "x_real_ip"
proxy_protocol = true

[[listener]]
address = ":0"
name = "ws"
"#;

#[test]
fn every_key_is_read() {
    let config = accepted(EVERYTHING);
    let admin = ListenerConfig {
        name: "admin_1".to_owned(),
        address: ListenAddress::Unix(PathBuf::from("/run/wsmaster/ad min.sock")),
        mode: Mode(0o600),
        user: Some("root".to_owned()),
        group: Some("www-data".to_owned()),
        protocol: ListenerProtocol::Http,
        serves: vec![HttpEndpoint::Api, HttpEndpoint::Health],
        proxy_protocol: true,
        tls: false,
        compression: false,
        message_bytes_max: 64 << 10,
    };
    let ws = ListenerConfig {
        name: "ws".to_owned(),
        address: ListenAddress::Tcp { host: "0.0.0.0".to_owned(), port: 0 },
        mode: Mode(0o660),
        user: None,
        group: None,
        protocol: ListenerProtocol::WebSocket,
        serves: Vec::new(),
        proxy_protocol: false,
        tls: false,
        compression: true,
        message_bytes_max: 0,
    };
    assert!(!admin.serves(HttpEndpoint::Playground) && ws.serves(HttpEndpoint::Playground));
    assert_eq!(config.listeners, [admin, ws]);
    let main = &config.all_listeners()[0];
    assert_eq!(
        (main.name.as_str(), main.address.to_string().as_str()),
        (MAIN_LISTENER, "[::]:9501")
    );
    assert!(main.proxy_protocol);
    assert_eq!(config.server.trusted_proxies.to_string(), "10.0.0.0/8, unix");
}

#[test]
fn what_is_shown_reads_back_to_the_same() {
    let config = accepted(EVERYTHING);
    let shown = config.show();
    let again = accepted(&shown);
    assert_eq!((again.listeners, again.server), (config.listeners, config.server), "{shown}");
    assert!(shown.contains("mode = \"0600\"") && shown.contains("# wsmaster.toml:5"), "{shown}");
}

#[test]
fn there_may_be_so_many_and_no_more() {
    let tables = |count: usize| -> String {
        let table =
            |n| format!("[[listener]]\nname = \"l{n}\"\naddress = \"[::1]:{}\"\n", 9600 + n);
        (0..count).map(table).collect()
    };
    assert_eq!(accepted(&tables(LISTENERS_MAX)).listeners.len(), LISTENERS_MAX);
    let errors = refused(&tables(LISTENERS_MAX + 1));
    assert!(errors.contains("listener[16]: expected at most 16 listeners, found 17"), "{errors}");
}

#[test]
fn the_address_of_the_first_listener_is_taken() {
    let errors = refused("[[listener]]\nname = \"two\"\naddress = \"127.0.0.1:9501\"\n");
    let expected = "wsmaster.toml:3:11: listener[0].address: expected an address of its own, found \
                    \"127.0.0.1:9501\", which is that of [server]";
    assert_eq!(errors, expected);
}
