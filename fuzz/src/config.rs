//! Configuration files: any text is a configuration or a list of mistakes with their places, and a configuration that is
//! shown and read again is the same.

use wsmaster::config::{Config, Machine};

/// See the module.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let machine = Machine { uid: 1000, cpus: 4, runtime_dir: None };
    match Config::from_toml(text, "a.toml", &machine) {
        Ok(config) => {
            let shown = config.show();
            if shown.contains("hidden") {
                return;
            }
            let again = Config::from_toml(&shown, "a.toml", &machine);
            let again = again.unwrap_or_else(|errors| panic!("{errors}\nin\n{shown}"));
            assert_eq!(again.show().lines().count(), shown.lines().count());
            assert_eq!(again.server, config.server);
            assert_eq!(again.limits, config.limits);
            assert_eq!(again.channels, config.channels);
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
