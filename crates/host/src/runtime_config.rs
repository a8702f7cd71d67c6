//! Spin's runtime configuration file, as far as this host has what it configures.

use std::{collections::BTreeMap, path::Path};

use anyhow::{Context as _, Result, bail};
use serde::Deserialize;

use crate::sqlite::DatabaseConfig;

#[derive(Default, Deserialize)]
pub struct RuntimeConfig {
    #[serde(default)]
    pub sqlite_database: BTreeMap<String, DatabaseConfig>,
    /// Bytes.
    pub max_instance_memory: Option<usize>,
    #[serde(default, alias = "config_provider")]
    variables_provider: Option<toml::Value>,
}

impl RuntimeConfig {
    /// Without a file everything is as it is by default.
    pub fn read(path: Option<&Path>) -> Result<RuntimeConfig> {
        let Some(path) = path else {
            return Ok(RuntimeConfig::default());
        };
        let read = || {
            let config: RuntimeConfig = toml::from_str(&std::fs::read_to_string(path)?)?;
            if config.variables_provider.is_some() {
                bail!(
                    "variables_provider: this host takes variables from flags and the environment only"
                );
            }
            Ok(config)
        };
        read().with_context(|| format!("the runtime configuration {}", path.display()))
    }
}
