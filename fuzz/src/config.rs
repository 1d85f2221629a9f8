//! Configuration files: any text is a configuration or a list of mistakes with their places, and a configuration that is
//! shown and read again is the same.

use wsmaster::config::{
    CERTIFICATES_MAX, Config, LISTENERS_MAX, Machine, PROCESSES_MAX, ProcessConfig, ROUTES_MAX,
};

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let machine = Machine { uid: 1000, cpus: 4, runtime_dir: None };
    match Config::from_toml(text, "a.toml", &machine) {
        Ok(config) => {
            let shown = config.show();
            let again = Config::from_toml(&shown, "a.toml", &machine);
            let again = again.unwrap_or_else(|errors| panic!("{errors}\nin\n{shown}"));
            assert_eq!(again.show().lines().count(), shown.lines().count());
            assert_eq!(again.server, config.server);
            assert_eq!(again.tls, config.tls);
            assert_eq!(again.limits, config.limits);
            assert_eq!(again.compression, config.compression);
            assert_eq!(again.channels, config.channels);
            assert_eq!(again.listeners, config.listeners);
            assert_eq!(again.routes, config.routes);
            assert_eq!(processes(&again), processes(&config));
            assert!(config.listeners.len() <= LISTENERS_MAX && config.routes.len() <= ROUTES_MAX);
            assert!(config.processes.len() <= PROCESSES_MAX);
            assert!(config.tls.certificates.len() <= CERTIFICATES_MAX);
            for line in shown.lines() {
                let is_secret = line.starts_with("key = ") || line.starts_with("env = ");
                let is_empty = line.contains(" = \"\"") || line.contains(" = {}");
                assert!(!is_secret || is_empty, "a secret is shown");
            }
        }
        Err(errors) => {
            let told = errors.to_string();
            assert!(!told.is_empty());
            for line in told.lines() {
                assert!(!line.chars().any(char::is_control), "{line:?}");
                assert!(line.len() < 2_000, "a line that nobody reads: {line}");
            }
        }
    }
}

/// Without what is not shown: values of the environment of a process may be secrets.
fn processes(config: &Config) -> Vec<ProcessConfig> {
    let bare = |process: &ProcessConfig| ProcessConfig { env: [].into(), ..process.clone() };
    config.processes.iter().map(bare).collect()
}
