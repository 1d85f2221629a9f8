//! What Kubernetes sets for a service: a service called `wsmaster` gives every pod of its namespace `WSMASTER_PORT=tcp://10.0.0.1:80`
//! and more, and one called `wsmaster-server` gives `WSMASTER_SERVER_PORT`, which is the name of a setting.
//!
//! Owns how those variables are told from settings: by their names and by the form of their values, and those that could be
//! typing errors by the company that they come in. Pure.

use std::net::IpAddr;

const PROTOCOLS: [&str; 3] = ["TCP", "UDP", "SCTP"];

/// Whether a variable of this name and value is one that Kubernetes has set for a service.
pub(crate) fn is_service_link(name: &str, value: &str, env: &[(String, String)]) -> bool {
    if let Some(service) = name.strip_suffix("_SERVICE_HOST") {
        return is_address(value) && has(env, &format!("{service}_SERVICE_PORT"), is_number);
    }
    if let Some((service, port)) = name.split_once("_SERVICE_PORT") {
        let is_named = port.is_empty() || port.starts_with('_');
        return is_named
            && is_number(value)
            && has(env, &format!("{service}_SERVICE_HOST"), is_address);
    }
    if name.ends_with("_PORT") && is_url(value) {
        return true;
    }
    // WSMASTER_PORT_9501_TCP, and _PROTO, _PORT and _ADDR behind it.
    let Some((service, rest)) = name.split_once("_PORT_") else { return false };
    let parts: Vec<&str> = rest.split('_').collect();
    let ([number, protocol] | [number, protocol, _]) = parts.as_slice() else { return false };
    if !is_number(number) || !PROTOCOLS.contains(protocol) {
        return false;
    }
    let url = format!("{service}_PORT_{number}_{protocol}");
    match parts.get(2).copied() {
        None => is_url(value),
        Some("PROTO") => value.eq_ignore_ascii_case(protocol) && has(env, &url, is_url),
        Some("PORT") => value == *number && has(env, &url, is_url),
        Some("ADDR") => is_address(value) && has(env, &url, is_url),
        Some(_) => false,
    }
}

fn has(env: &[(String, String)], wanted: &str, form: fn(&str) -> bool) -> bool {
    env.iter().any(|(name, value)| name == wanted && form(value))
}

/// Of a service without an address of its own (`None`, headless) there are no variables at all.
fn is_address(value: &str) -> bool {
    value.parse::<IpAddr>().is_ok()
}

fn is_number(value: &str) -> bool {
    value.parse::<u16>().is_ok()
}

/// `tcp://10.0.0.1:80`, with an IPv6 address in brackets.
fn is_url(value: &str) -> bool {
    let Some((scheme, rest)) = value.split_once("://") else { return false };
    let is_known = PROTOCOLS.iter().any(|protocol| protocol.eq_ignore_ascii_case(scheme));
    let Some((host, port)) = rest.rsplit_once(':') else { return false };
    let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    is_known && is_address(host) && is_number(port)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn env(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn all_that_a_service_sets_is_known() {
        for (prefix, host) in [("WSMASTER", "10.3.0.7"), ("WSMASTER_SERVER", "fd00::7")] {
            let shown = if host.contains(':') { format!("[{host}]") } else { host.to_owned() };
            let url = format!("tcp://{shown}:9501");
            let env: Vec<(String, String)> = [
                ("SERVICE_HOST", host),
                ("SERVICE_PORT", "9501"),
                ("SERVICE_PORT_HTTP", "9501"),
                ("SERVICE_PORT_WS_TLS", "443"),
                ("PORT", &url),
                ("PORT_9501_TCP", &url),
                ("PORT_9501_TCP_PROTO", "tcp"),
                ("PORT_9501_TCP_PORT", "9501"),
                ("PORT_9501_TCP_ADDR", host),
            ]
            .iter()
            .map(|(name, value)| (format!("{prefix}_{name}"), (*value).to_owned()))
            .collect();
            for (name, value) in &env {
                assert!(is_service_link(name, value, &env), "{name}={value}");
            }
        }
    }

    #[test]
    fn a_typing_error_is_none_of_them() {
        for pairs in [
            // Meant as the port of the server.
            &[("WSMASTER_SERVICE_PORT", "9600")][..],
            &[("WSMASTER_SERVICE_HOST", "0.0.0.0")],
            &[("WSMASTER_SERVICE_HOST", "localhost"), ("WSMASTER_SERVICE_PORT", "9600")],
            &[("WSMASTER_PORT", "9600")],
            &[("WSMASTER_SERVER_PORT", "9600")],
            &[("WSMASTER_PORT", "tcp://localhost:9600")],
            &[("WSMASTER_PORT", "http://10.0.0.1:80")],
            &[("WSMASTER_HOST", "tcp://10.0.0.1:80")],
            &[("WSMASTER_PORT_9501_TCP_PORT", "9501")],
            &[("WSMASTER_PORT_9501_TCP_ADDR", "10.0.0.1")],
            &[("WSMASTER_PORT_X_TCP", "tcp://10.0.0.1:80")],
            &[("WSMASTER_SERVER_WORKRES", "4")],
            &[("WSMASTER_SERVICE_PORTS", "9501"), ("WSMASTER_SERVICE_HOST", "10.0.0.1")],
        ] {
            let env = env(pairs);
            let (name, value) = &env[0];
            assert!(!is_service_link(name, value, &env), "{name}={value}");
        }
    }
}
