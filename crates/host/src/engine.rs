//! The Wasmtime engine: Spin's instance limits, and the cache of compiled components. Knows
//! nothing of applications.

use std::path::PathBuf;

use anyhow::{Context, Result};
use wasmtime::{
    Cache, CacheConfig, Config, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
};

use crate::limits;

/// Component instances, core memories and stacks alive at once. A composed component counts once
/// per part for memories.
const MAX_INSTANCES: u32 = 1_000;
/// Elements of one table.
const TABLE_ELEMENTS: usize = 100_000;
/// Bytes of bookkeeping for one instance.
const INSTANCE_BYTES: usize = 10 << 20;
/// Bytes of address space for one linear memory.
const MEMORY_BYTES: usize = 4 << 30;
/// Bytes of a linear memory that stay resident when its instance is gone.
const MEMORY_KEEP_RESIDENT: usize = 2 << 20;
/// Bytes of a table that stay resident when its instance is gone.
const TABLE_KEEP_RESIDENT: usize = 512 << 10;
const CORE_INSTANCES_PER_COMPONENT: u32 = 200;
const TABLES_PER_COMPONENT: u32 = 64;
const MEMORIES_PER_COMPONENT: u32 = 32;
const TABLES_PER_MODULE: u32 = 2;
const MEMORIES_PER_MODULE: u32 = 2;

/// Makes an engine whose epochs pass. `cache` is where compiled components are kept.
pub fn engine(cache: Option<Cache>) -> Result<Engine> {
    let engine = new_engine(cache)?;
    limits::tick(&engine).context("cannot start a thread")?;
    Ok(engine)
}

fn new_engine(cache: Option<Cache>) -> Result<Engine> {
    let mut config = config(cache);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool()));
    match Engine::new(&config) {
        Ok(engine) => Ok(engine),
        Err(why) => {
            // Some machines have too little address space for the pool.
            tracing::debug!(%why, "no pool of instances; allocating each by itself");
            config.allocation_strategy(InstanceAllocationStrategy::OnDemand);
            Engine::new(&config)
                .map_err(error)
                .context("cannot start the Wasm engine")
        }
    }
}

fn config(cache: Option<Cache>) -> Config {
    let mut config = Config::new();
    config.wasm_component_model(true);
    config.wasm_component_model_async(true);
    config.epoch_interruption(true);
    config.cache(cache);
    config
}

fn pool() -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(MAX_INSTANCES)
        .total_memories(MAX_INSTANCES)
        .total_tables(2 * MAX_INSTANCES)
        .total_stacks(MAX_INSTANCES)
        .total_core_instances(4 * MAX_INSTANCES)
        .table_elements(TABLE_ELEMENTS)
        .max_component_instance_size(INSTANCE_BYTES)
        .max_core_instance_size(INSTANCE_BYTES)
        .max_core_instances_per_component(CORE_INSTANCES_PER_COMPONENT)
        .max_tables_per_component(TABLES_PER_COMPONENT)
        .max_memories_per_component(MEMORIES_PER_COMPONENT)
        .max_tables_per_module(TABLES_PER_MODULE)
        .max_memories_per_module(MEMORIES_PER_MODULE)
        .max_memory_size(MEMORY_BYTES)
        .linear_memory_keep_resident(MEMORY_KEEP_RESIDENT)
        .table_keep_resident(TABLE_KEEP_RESIDENT);
    pool
}

/// Opens the cache. Without one every start compiles everything, so failing is only a warning.
pub fn cache(directory: Option<PathBuf>) -> Option<Cache> {
    let directory = directory.or_else(default_cache_directory)?;
    let open = || {
        std::fs::create_dir_all(&directory)?;
        let directory = directory.canonicalize()?;
        let probe = directory.join(format!(".probe-{}", std::process::id()));
        std::fs::write(&probe, b"")?;
        std::fs::remove_file(&probe)?;
        let mut config = CacheConfig::new();
        config.with_directory(directory);
        Cache::new(config).map_err(error)
    };
    match open() {
        Ok(cache) => Some(cache),
        Err(why) => {
            tracing::warn!(
                directory = %directory.display(),
                "cannot keep compiled components: {why:#}; every start will compile them again"
            );
            None
        }
    }
}

fn default_cache_directory() -> Option<PathBuf> {
    let path = |name| {
        std::env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    let base = path("XDG_CACHE_HOME").or_else(|| path("HOME").map(|home| home.join(".cache")))?;
    Some(base.join("parlour"))
}

/// Wasmtime's errors are a type of their own; keeps what they say, with all causes.
pub fn error(error: wasmtime::Error) -> anyhow::Error {
    anyhow::anyhow!("{error:#}")
}
